"""All requests of version 1 of the API: what ``conn.data_protection`` is."""

import logging
from collections.abc import Mapping
from typing import Any

import requests

from karbor_like_client import errors
from karbor_like_client.v1 import base
from karbor_like_client.v1.checkpoints import Checkpoint, Checkpoints
from karbor_like_client.v1.copies import Copies
from karbor_like_client.v1.health import HealthOfAll
from karbor_like_client.v1.operation_logs import OperationLog, OperationLogs
from karbor_like_client.v1.overview import OverviewOfProject
from karbor_like_client.v1.plans import Plan, Plans
from karbor_like_client.v1.protectables import Protectables
from karbor_like_client.v1.providers import Provider, Providers
from karbor_like_client.v1.quota_classes import QuotaClasses
from karbor_like_client.v1.quotas import Quotas
from karbor_like_client.v1.restores import Restore, Restores
from karbor_like_client.v1.scheduled_operations import ScheduledOperation, ScheduledOperations
from karbor_like_client.v1.services import Service, Services
from karbor_like_client.v1.triggers import Trigger, Triggers
from karbor_like_client.v1.verifications import Verification, Verifications

LOG = logging.getLogger(__name__)

#: How often a request is repeated if the connection fails or the service is unavailable. The first delay is 0.5 seconds, and
#: doubles.
RETRIES = 4

#: Seconds for a connection, and without another byte of a response, after which a request fails, if the configuration of the
#: connection sets no ``api_timeout``. The API answers in 120, unless its operator sets another ``[api] request_timeout``.
TIMEOUT = 180.0


class Proxy(
    Plans,
    Checkpoints,
    Copies,
    Restores,
    Verifications,
    Triggers,
    ScheduledOperations,
    OperationLogs,
    Providers,
    Protectables,
    Services,
    Quotas,
    QuotaClasses,
    HealthOfAll,
    OverviewOfProject,
):
    """Version 1 of the API."""

    api_version = "1"
    skip_discovery = True
    retriable_status_codes = [503]
    #: See :data:`TIMEOUT`.
    timeout = TIMEOUT
    _resource_registry = {
        kind.__name__.lower(): kind
        for kind in (
            Checkpoint,
            OperationLog,
            Plan,
            Provider,
            Restore,
            ScheduledOperation,
            Service,
            Trigger,
            Verification,
        )
    }

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request. Those that can be repeated safely are repeated if the service does not answer.

        :raises ApiError: the API answered with an error
        """
        if method in ("GET", "HEAD") or base.KEY in (kwargs.get("headers") or {}):
            kwargs["connect_retries"] = self.connect_retries or RETRIES
            kwargs.setdefault("status_code_retries", self.status_code_retries or RETRIES)
        if self.session.timeout is None:
            kwargs.setdefault("timeout", self.timeout)
        if _has_credential(kwargs.get("json")):
            LOG.debug("%s %s: not logged, because it has a credential", method, url)
            kwargs["log"] = False
        response = super().request(url, method, *args, **kwargs)
        errors.raise_for(response)
        return response


def _has_credential(body: Any) -> bool:
    """Return whether the body of a request is that of a restore with a credential for its target."""
    asked = body.get(Restore.resource_key) if isinstance(body, Mapping) else None
    return isinstance(asked, Mapping) and bool(asked.get("restore_auth"))
