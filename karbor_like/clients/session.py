"""As whom other services are asked: keystoneauth plugins for a tenant, for a trust, and for an account in another cloud.

What lives how long (https://docs.openstack.org/keystone/latest/admin/manage-services.html#configuring-services-to-use-service-tokens):

* A tenant's token is accepted after its expiry as long as a valid service token goes with it, so an operation may take longer
  than a token lives.
* A trust's token is not: a new one is taken from the trust whenever it is about to expire. The service user is the trustee.
  A token from a trust that somebody else was given (Heat, a user) is used as it is, for as long as it lives.
* For another cloud there is a password, and a new token whenever one is needed.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib import parse

from keystoneauth1 import access, loading, plugin, service_token
from keystoneauth1 import exceptions as ksa
from keystoneauth1 import session as ksa_session
from keystoneauth1.identity import access as access_plugin
from keystoneauth1.identity import v3
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients import errors
from karbor_like.conf import clients as options
from karbor_like.context import RequestContext

LOG = logging.getLogger(__name__)

#: What a trust fixes by itself: a plugin that is given any of these as well is refused as having two scopes.
_SCOPES: Final = frozenset(
    {
        "project_id",
        "project_name",
        "project_domain_id",
        "project_domain_name",
        "domain_id",
        "domain_name",
        "system_scope",
        "default_domain_id",
        "default_domain_name",
    }
)


class Identities:
    """Makes keystoneauth plugins. One per process: the service user's token is taken once for all.

    :param conf: with the groups of ``conf/clients.py``
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._service = self._load()
        if self._service is None:
            LOG.warning("[service_auth] is not configured: operations end when the token that started them expires")

    def for_context(self, context: RequestContext) -> plugin.BaseAuthPlugin:
        """Acts as *context*'s user: through its trust where that is the service user's, else with its token and a service
        token.

        Raises NotAuthorized where the context holds neither, ConfigurationError where a trust cannot be used, Unavailable
        where Keystone cannot be asked whose it is.
        """
        if context.trust_id and self._is_ours(context):
            return self._for_trust(context.trust_id)
        if not context.auth_token:
            raise exception.NotAuthorized(
                "the request carries neither a token nor a trust: nothing can be asked in its name"
            )
        user = access_plugin.AccessInfoPlugin(_access(context))
        return service_token.ServiceTokenAuthWrapper(user, self._service) if self._service else user

    def for_target(self, auth_url: str, auth: Mapping[str, Any]) -> v3.Password:
        """Acts as the account *auth* in the cloud whose Keystone is at *auth_url*.

        :param auth: ``type`` ("password", the default), ``username``, ``password``; optional ``project_id`` or
            ``project_name`` (default: the account's default project, or its only one), ``user_domain_name`` and
            ``project_domain_name`` ("Default"), or the same with ``_id``

        Raises InvalidInput where the URL is not allowed or something is missing, NotAuthorized where that Keystone refuses.
        """
        url = self._allowed(auth_url)
        account = _account(auth)
        scope = _scope(auth)
        if not scope:
            scope = {"project_id": self._only_project(url, account)}
        return v3.Password(auth_url=url, reauthenticate=True, **account, **scope)

    def for_service(self) -> plugin.BaseAuthPlugin:
        """Acts as the service user. Raises ConfigurationError where ``[service_auth]`` names none."""
        if self._service is None:
            raise exception.ConfigurationError(
                "[service_auth] is not configured: nothing can be asked as the service user"
            )
        return self._service

    def service_user_id(self) -> str:
        """The id of the service user, who signs in anew for this: it shows that the account works.

        Raises ConfigurationError where ``[service_auth]`` names none, NotAuthorized where Keystone refuses it.
        """
        if self._service is None:
            raise exception.ConfigurationError("[service_auth] is not configured: no trust can be made without it")
        self._service.invalidate()
        with errors.translated("signing in as the service user"):
            return str(self.session(options.SERVICE_AUTH.name, self._service).get_user_id())

    def session(self, group: str, auth: plugin.BaseAuthPlugin) -> ksa_session.Session:
        """A session with the TLS options and the time-out of option group *group*."""
        return loading.load_session_from_conf_options(self._conf, group, auth=auth)

    def _load(self, **overrides: Any) -> plugin.BaseAuthPlugin | None:
        try:
            return loading.load_auth_from_conf_options(self._conf, options.SERVICE_AUTH.name, **overrides)
        except ksa.AuthPluginException as error:
            raise exception.ConfigurationError(f"[service_auth]: {error}") from error

    def _is_ours(self, context: RequestContext) -> bool:
        """Whether the service user is the trustee of *context*'s trust. What others are trusted with they use themselves."""
        if not context.auth_token or context.trustee_id is None:
            return True  # the engine's own: nobody has asked
        if self._service is None:
            return False
        with errors.translated("signing in as the service user"):
            return self.session(options.SERVICE_AUTH.name, self._service).get_user_id() == context.trustee_id

    def _for_trust(self, trust_id: str) -> plugin.BaseAuthPlugin:
        auth_type = self._conf.service_auth.auth_type
        if not auth_type:
            raise exception.ConfigurationError("[service_auth] is not configured: no trust can be used without it")
        accepted = {option.dest for option in loading.get_plugin_options(auth_type)}
        if "trust_id" not in accepted:
            raise exception.ConfigurationError(
                f"[service_auth] auth_type = {auth_type} cannot use a trust: use v3password"
            )
        found = self._load(trust_id=trust_id, **dict.fromkeys(accepted & _SCOPES))
        assert found is not None  # noqa: S101 - there is an auth_type
        return found

    def _allowed(self, auth_url: str) -> str:
        if _comparable(auth_url) not in map(_comparable, self._conf.restore_target.allowed_urls):
            raise exception.InvalidInput(
                f"restore_target {auth_url!r} is not among the clouds that this service may restore into;"
                " the operator names them in [restore_target] allowed_urls"
            )
        return f"{_comparable(auth_url)}/v3"

    def _only_project(self, url: str, account: Mapping[str, Any]) -> str:
        session = self.session(options.RESTORE_TARGET.name, v3.Password(auth_url=url, **account))
        with errors.translated(f"signing in to {url} as {account['username']!r}"):
            default = session.get_project_id()
            if default:
                return default
            found = session.get(f"{url}/auth/projects").json()["projects"]
        if len(found) != 1:
            raise exception.InvalidInput(
                f"restore_auth: {account['username']!r} has {len(found)} projects at {url};"
                " say which with project_id or project_name"
            )
        return found[0]["id"]


def _access(context: RequestContext) -> access.AccessInfoV3:
    """What Keystone would answer about the token of *context*."""
    # The expiry is not known here, and does not matter: nothing can renew this token, and a service token revives it.
    body = {
        "token": {
            "methods": ["token"],
            "expires_at": "9999-12-31T23:59:59Z",
            "user": {"id": context.user_id, "name": context.user_name, "domain": {"id": context.user_domain_id}},
            "project": {
                "id": context.project_id,
                "name": context.project_name,
                "domain": {"id": context.project_domain_id},
            },
            "roles": [{"name": role} for role in context.roles],
            "catalog": _catalogue(context.service_catalog),
        }
    }
    return access.AccessInfoV3(body, auth_token=context.auth_token)


def _catalogue(services: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A catalogue as version 3 of the API has it; keystonemiddleware hands it on in the form of version 2."""
    return [
        {**service, "endpoints": [e for endpoint in service.get("endpoints", []) for e in _endpoints(endpoint)]}
        for service in services
    ]


def _endpoints(endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "interface" in endpoint:
        return [dict(endpoint)]
    region = endpoint.get("region")
    return [
        {"interface": interface, "url": endpoint[f"{interface}URL"], "region": region, "region_id": region}
        for interface in ("public", "internal", "admin")
        if endpoint.get(f"{interface}URL")
    ]


def _comparable(url: str) -> str:
    """*url* without what does not tell clouds apart: case of the host, a slash or the version at the end.

    Raises InvalidInput where it is none.
    """
    try:
        parts = parse.urlsplit(url.strip())
    except ValueError as error:
        raise exception.InvalidInput(f"restore_target {url!r} is not a URL: {error}") from None
    path = parts.path.rstrip("/").removesuffix("/v3")
    return parse.urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, "", ""))


def _account(auth: Mapping[str, Any]) -> dict[str, Any]:
    if (auth.get("type") or "password") != "password":
        raise exception.InvalidInput(f"restore_auth.type is {auth['type']!r}: only 'password' is offered")
    for name in ("username", "password"):
        if not auth.get(name):
            raise exception.InvalidInput(f"restore_auth.{name} is missing")
    return {"username": auth["username"], "password": auth["password"], **_domain(auth, "user")}


def _scope(auth: Mapping[str, Any]) -> dict[str, Any]:
    if auth.get("project_id"):
        return {"project_id": auth["project_id"]}
    if auth.get("project_name"):
        return {"project_name": auth["project_name"], **_domain(auth, "project")}
    return {}


def _domain(auth: Mapping[str, Any], owner: str) -> dict[str, Any]:
    if auth.get(f"{owner}_domain_id"):
        return {f"{owner}_domain_id": auth[f"{owner}_domain_id"]}
    return {f"{owner}_domain_name": auth.get(f"{owner}_domain_name") or "Default"}
