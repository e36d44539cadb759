"""The choice between the two means to deploy the template of a restore: Heat, or direct requests to the services.

Heat creates a trust for each stack. Keystone lets no delegated token create one, and Heat accepts no expired token for it, so
neither restores of scheduled operations nor those that outlive their token can use Heat.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients import identity
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.clock import Clock
from karbor_like.plugins.heat import hot
from karbor_like.plugins.heat.deployment import StackDeployment
from karbor_like.plugins.toolkit.deployment import Deployment
from karbor_like.protection.registry.providers import Deployer

LOG = logging.getLogger(__name__)

Means = type[Deployment] | type[StackDeployment]

#: Why Heat cannot be used where there is none.
NO_HEAT: Final = "the catalogue of the cloud has no orchestration service"

#: Seconds for which a token must outlive the creation of a stack: after a failure it deletes the stack. With an expired one,
#: Heat accepts the request and then cannot delete the resources.
MARGIN: Final = 300.0

_DELEGATING: Final = frozenset({"application_credential", "oauth1"})


@dataclass(frozen=True)
class Choice:
    """The means to deploy a template.

    :param reason: why ``auto`` is not Heat; empty otherwise, and if there is nothing to deploy
    """

    means: Means
    reason: str = ""

    @property
    def name(self) -> str:
        """As the API shows it."""
        return (Deployer.HEAT if self.means is StackDeployment else Deployer.DIRECT).value

    @property
    def remark(self) -> str:
        """What to tell the tenant, or an empty text: if the cloud has no Heat, nothing is missing."""
        if self.reason in ("", NO_HEAT):
            return ""
        return f"the resources of the template were created directly instead of as a stack of Heat: {self.reason}"


def choose(
    deployer: Deployer,
    clients: Clients,
    clock: Clock,
    resolved: hot.Resolved,
    types: hot.Types,
    *,
    timeout: float,
    has_password: bool,
) -> Choice:
    """Choose the means to deploy a template of which nothing exists yet.

    :param deployer: the provider's option
    :param clients: act as the owner of the restore
    :param resolved: the descriptions to deploy
    :param types: type in the template -> what finds its objects
    :param timeout: seconds that the creation of a stack may take
    :param has_password: whether *clients* sign in again at any time

    ``auto`` is Heat if Heat can be used and restores as much as direct requests.

    Raises ResourceFailed if the provider demands Heat, which cannot be used; Conflict if the template is too large for it;
    Unavailable if Keystone does not answer.
    """
    if deployer is Deployer.DIRECT or not resolved:
        return Choice(Deployment)
    if deployer is Deployer.HEAT:
        reason = obstacle(clients, clock, timeout=timeout, has_password=has_password)
        if reason:
            raise exception.ResourceFailed(f"Heat cannot be used, which the provider demands: {reason}")
        hot.document(resolved, types)
        return Choice(StackDeployment)
    reason = hot.obstacle(resolved, types) or obstacle(clients, clock, timeout=timeout, has_password=has_password)
    LOG.info("The template is deployed by %s", f"direct requests: {reason}" if reason else "Heat")
    return Choice(Deployment, reason) if reason else Choice(StackDeployment)


def resumed(deployer: Deployer, resolved: hot.Resolved, types: hot.Types) -> Choice:
    """Return the choice of a process that began to create the template directly.

    :param deployer: the provider's option
    :param resolved: the descriptions to deploy
    :param types: type in the template -> what finds its objects
    """
    if deployer is not Deployer.AUTO:
        return Choice(Deployment)
    return Choice(Deployment, hot.obstacle(resolved, types) or "Heat could not be used when their creation began")


def obstacle(clients: Clients, clock: Clock, *, timeout: float, has_password: bool) -> str | None:
    """Return why Heat can create no stack for an identity, and what to do about that, or None if it can.

    :param timeout: seconds that the creation of a stack may take
    :param has_password: whether *clients* sign in again at any time

    Raises Unavailable if Keystone does not answer.
    """
    try:
        with translated("Heat"):
            endpoint = clients.adapter("heat").get_endpoint()
    except exception.Unsupported:
        endpoint = None
    if not endpoint:
        return NO_HEAT
    return None if has_password else _delegation(identity.token(clients), clock.now(), timeout + MARGIN)


def _delegation(token: Mapping[str, Any] | None, now: datetime, life: float) -> str | None:
    if token is None:
        # Keystone lets a token validate itself, except one of a trust.
        return "the token has expired, or is of a trust; sign in with a password, or give a restore_auth"
    if "OS-TRUST:trust" in token or _DELEGATING.intersection(token.get("methods", ())):
        return (
            "the token is of a trust or of an application credential, with which Keystone creates no trust for Heat; use a "
            "token from a password, or give a restore_auth"
        )
    left = (datetime.fromisoformat(token["expires_at"]) - now).total_seconds()
    if left < life:
        return f"the token expires in {max(left, 0):.0f} s, Heat may need {life:.0f} s; sign in again, or give a restore_auth"
    return None
