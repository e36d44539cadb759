"""Identities for requests to other services: keystoneauth plugins for a tenant, a trust and an account in another cloud.

Lifetimes of tokens (https://docs.openstack.org/keystone/latest/admin/manage-services.html#configuring-services-to-use-service-tokens):

* Services accept a tenant's token after its expiry if a valid service token accompanies it, so an operation may outlive the
  token.
* They do not accept an expired token of a trust: a new one is issued from the trust when it is about to expire. The service
  user is the trustee. A token of a trust with another trustee (Heat, a user) is used until it expires.
* For another cloud a password is available, and a new token is issued when one is needed.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib import parse

from keystoneauth1 import access, identity, loading, plugin, service_token
from keystoneauth1 import exceptions as ksa
from keystoneauth1 import session as ksa_session
from keystoneauth1.access import service_catalog
from keystoneauth1.identity import access as access_plugin
from keystoneauth1.identity import v3
from keystoneauth1.loading import session as session_loading
from oslo_config import cfg

from karbor_like import deadline, exception
from karbor_like.clients import errors
from karbor_like.clients.http import LimitedSession, SharedSession
from karbor_like.conf import clients as options
from karbor_like.context import RequestContext

LOG = logging.getLogger(__name__)

#: Options that state a scope. A trust states one itself, and Keystone refuses two.
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


_PORTS: Final = {"http": 80, "https": 443}


class Identities:
    """Creates keystoneauth plugins. One per process, so that all of them share the service user's token.

    :param conf: with the groups of ``conf/clients.py``
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._service = self._load()
        if self._service is None:
            LOG.warning(
                "[service_auth] is not configured: operations fail when the token of the request that started them expires"
            )

    def for_context(self, context: RequestContext) -> plugin.BaseAuthPlugin:
        """Return a plugin that acts as *context*'s user.

        It uses the context's trust if the service user is its trustee, else the token together with a service token.
        Raises NotAuthorized if the context has neither, ConfigurationError if the trust cannot be used, Unavailable if
        Keystone does not answer who the trustee is.
        """
        if context.trust_id and self._is_ours(context):
            return self._for_trust(context.trust_id)
        if not context.auth_token:
            raise exception.NotAuthorized(
                "the request has neither a token nor a trust; other services cannot be called on its behalf"
            )
        user = access_plugin.AccessInfoPlugin(_access(context))
        return service_token.ServiceTokenAuthWrapper(user, self._service) if self._service else user

    def for_target(self, auth_url: str, auth: Mapping[str, Any]) -> v3.Password:
        """Return a plugin that acts as the account *auth* in the cloud whose Keystone is at *auth_url*.

        :param auth: ``type`` ("password", the default), ``username``, ``password``; optional ``project_id`` or
            ``project_name`` (default: the account's default project, or its only one), ``user_domain_name`` and
            ``project_domain_name`` ("Default"), or the same with ``_id``

        This cloud is always allowed, and others as configured. Raises InvalidInput if the URL is not allowed or *auth* is
        incomplete, NotAuthorized if that Keystone refuses it.
        """
        url = self._allowed(auth_url)
        account = _account(auth)
        scope = _scope(auth)
        if not scope:
            scope = {"project_id": self._only_project(url, account)}
        return v3.Password(auth_url=url, reauthenticate=True, **account, **scope)

    def for_service(self) -> plugin.BaseAuthPlugin:
        """Return a plugin that acts as the service user. Raises ConfigurationError if ``[service_auth]`` names none."""
        if self._service is None:
            raise exception.ConfigurationError("[service_auth] is not configured; requests as the service user need it")
        return self._service

    def for_service_in(self, project_id: str) -> plugin.BaseAuthPlugin:
        """Return a plugin that acts as the service user in a tenant's project, where it needs a role.

        Raises ConfigurationError if ``[service_auth]`` does not support that.
        """
        self.for_service()
        accepted = {option.dest for option in loading.get_plugin_options(self._conf.service_auth.auth_type)}
        if "project_id" not in accepted:
            raise exception.ConfigurationError(
                f"[service_auth] auth_type = {self._conf.service_auth.auth_type} supports no project; use v3password"
            )
        auth = self._load(**{**dict.fromkeys(accepted & _SCOPES), "project_id": project_id})
        assert auth is not None  # noqa: S101 - for_service has checked that
        return auth

    def service_user_id(self) -> str:
        """Sign in as the service user again, which shows that the account works, and return its id.

        Raises ConfigurationError if ``[service_auth]`` names none, NotAuthorized if Keystone refuses it.
        """
        if self._service is None:
            raise exception.ConfigurationError("[service_auth] is not configured; trusts need it")
        self._service.invalidate()
        with errors.translated("signing in as the service user"):
            return str(self.session(options.SERVICE_AUTH.name, self._service).get_user_id())

    def session(self, group: str, auth: plugin.BaseAuthPlugin) -> ksa_session.Session:
        """Return a session with the TLS options and the timeout of option group *group*."""
        limited = LimitedSession(deadline.TOTAL * self._conf[group].timeout)
        return _SessionLoader().load_from_conf_options(self._conf, group, auth=auth, session=limited)

    def _load(self, **overrides: Any) -> plugin.BaseAuthPlugin | None:
        try:
            return loading.load_auth_from_conf_options(self._conf, options.SERVICE_AUTH.name, **overrides)
        except ksa.AuthPluginException as error:
            raise exception.ConfigurationError(f"[service_auth]: {error}") from error

    def _is_ours(self, context: RequestContext) -> bool:
        """Return whether the service user is the trustee of *context*'s trust. Only the trustee can use a trust."""
        if not context.auth_token or context.trustee_id is None:
            return True  # the operation engine's own, without a request
        if self._service is None:
            return False
        with errors.translated("signing in as the service user"):
            return self.session(options.SERVICE_AUTH.name, self._service).get_user_id() == context.trustee_id

    def _for_trust(self, trust_id: str) -> plugin.BaseAuthPlugin:
        auth_type = self._conf.service_auth.auth_type
        if not auth_type:
            raise exception.ConfigurationError("[service_auth] is not configured; trusts need it")
        accepted = {option.dest for option in loading.get_plugin_options(auth_type)}
        if "trust_id" not in accepted:
            raise exception.ConfigurationError(
                f"[service_auth] auth_type = {auth_type} does not support trusts; use v3password"
            )
        auth = self._load(trust_id=trust_id, **dict.fromkeys(accepted & _SCOPES))
        assert auth is not None  # noqa: S101 - auth_type is set
        return auth

    def is_here(self, auth_url: str) -> bool:
        """Return whether *auth_url* is this cloud's Keystone. Raises what ``translated`` raises if Keystone must be asked."""
        wanted = _comparable(auth_url)
        # Keystone is asked last.
        return any(wanted in map(_comparable, filter(None, urls())) for urls in (self._configured, self._catalogued))

    def _allowed(self, auth_url: str) -> str:
        wanted = _comparable(auth_url)
        if wanted not in map(_comparable, self._conf.restore_target.allowed_urls) and not self.is_here(auth_url):
            raise exception.InvalidInput(
                f"restore_target {auth_url!r} is neither this cloud nor allowed;"
                " the operator lists allowed clouds in [restore_target] allowed_urls"
            )
        return f"{wanted}/v3"

    def _configured(self) -> Iterator[str | None]:
        """Yield the URLs of this cloud's Keystone in the configuration."""
        # Only the API otherwise needs this library.
        from keystonemiddleware import opts as middleware  # noqa: PLC0415

        for group, found in middleware.list_auth_token_opts():
            self._conf.register_opts(found, group)
        yield getattr(self._service, "auth_url", None)
        yield self._conf.keystone_authtoken.www_authenticate_uri
        with contextlib.suppress(ksa.AuthPluginException):
            yield getattr(loading.load_auth_from_conf_options(self._conf, "keystone_authtoken"), "auth_url", None)

    def _catalogued(self) -> Iterator[str | None]:
        """Yield the URLs of this cloud's Keystone in the catalogue of the service user, which comes with its token."""
        if not isinstance(self._service, identity.BaseIdentityPlugin):
            return
        with errors.translated("signing in as the service user"):
            catalogue = self._service.get_access(self.session(options.SERVICE_AUTH.name, self._service)).service_catalog
        for interface in ("public", "internal", "admin"):
            yield from catalogue.get_urls(options.SERVICES["keystone"].catalogue_type, interface)

    def _only_project(self, url: str, account: Mapping[str, Any]) -> str:
        session = self.session(options.RESTORE_TARGET.name, v3.Password(auth_url=url, **account))
        with errors.translated(f"signing in to {url} as {account['username']!r}"):
            default = session.get_project_id()
            if default:
                return default
            projects = session.get(f"{url}/auth/projects").json()["projects"]
        if len(projects) != 1:
            raise exception.InvalidInput(
                f"restore_auth: {account['username']!r} has {len(projects)} projects at {url};"
                " choose one with project_id or project_name"
            )
        return projects[0]["id"]


class _SessionLoader(session_loading.Session):
    """Creates sessions whose plugin several threads may use."""

    @property
    def plugin_class(self) -> type[ksa_session.Session]:
        """The class of the sessions."""
        return SharedSession


class _Catalogue(service_catalog.ServiceCatalogV3):
    """A catalogue that does not change. The library would copy all of it to find the endpoint of each request."""

    @functools.cached_property
    def _normalized(self) -> list[dict[str, Any]]:
        return super().normalize_catalog()

    def normalize_catalog(self) -> list[dict[str, Any]]:
        """Return all services and endpoints. The library only reads them."""
        return self._normalized


class _Access(access.AccessInfoV3):
    """A token with its catalogue."""

    def __init__(self, body: dict[str, Any], auth_token: str | None) -> None:
        super().__init__(body, auth_token=auth_token)
        self._catalogue = _Catalogue.from_token(body)

    @property
    def service_catalog(self) -> service_catalog.ServiceCatalog:
        """The endpoints of the services."""
        return self._catalogue


def _access(context: RequestContext) -> access.AccessInfoV3:
    """Return what Keystone would answer about the token of *context*."""
    # The expiry is unknown and irrelevant: this token cannot be renewed, and a service token makes an expired one valid.
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
    return _Access(body, auth_token=context.auth_token)


def _catalogue(services: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Convert a catalogue from version 2 of the API, which keystonemiddleware passes on, to version 3."""
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
    """Normalize *url* for comparisons: case of the host, default port, slashes at the end and version.

    Raises InvalidInput if it is no URL.
    """
    try:
        parts = parse.urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise exception.InvalidInput(f"restore_target {url!r} is not a URL: {error}") from None
    path = parts.path.rstrip("/").removesuffix("/v3").rstrip("/")
    host = parts.netloc.lower()
    if port == _PORTS.get(parts.scheme):
        host = host.removesuffix(f":{port}")
    return parse.urlunsplit((parts.scheme, host, path, "", ""))


def _account(auth: Mapping[str, Any]) -> dict[str, Any]:
    if (auth.get("type") or "password") != "password":
        raise exception.InvalidInput(f"restore_auth.type is {auth['type']!r}; only 'password' is supported")
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
