"""Clients of the services in :mod:`karbor_like.conf.clients`. A client library is imported at its first use."""

import importlib
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import adapter, plugin
from keystoneauth1.session import Session
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients import errors, kubernetes
from karbor_like.clients.manila import Manila
from karbor_like.clients.neutron import Neutron
from karbor_like.clients.session import Identities
from karbor_like.clients.trove import Trove
from karbor_like.conf import clients as options
from karbor_like.context import RequestContext

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Settings:
    """Connection settings of all services.

    :param here: whether the clients call this cloud; endpoint and region options apply to this cloud only
    """

    conf: cfg.ConfigOpts
    identities: Identities
    here: bool

    def endpoint(self, name: str) -> dict[str, Any]:
        group = self.conf[f"{name}_client"]
        values = {option: group[option] for option in options.ADAPTER_OPTIONS}
        values["interface"] = values.pop("valid_interfaces")
        if not self.here:
            values.update(region_name=None, endpoint_override=None, interface=["public"])
        return values

    def session(self, name: str, auth: plugin.BaseAuthPlugin) -> Session:
        return self.identities.session(f"{name}_client" if self.here else options.RESTORE_TARGET.name, auth)


class Clients:
    """The clients of one identity in one cloud. Thread-safe.

    Each thread gets client objects of its own because not all of them are thread-safe. Threads share the sessions with
    their connections.

    :param context: the identity; ``context.project_id`` is the project in that cloud
    """

    def __init__(self, context: RequestContext, auth: plugin.BaseAuthPlugin, settings: _Settings) -> None:
        self.context = context
        self._auth = auth
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def project_id(self) -> str:
        """The project that the identity acts in."""
        return str(self.context.project_id)

    @property
    def session(self) -> Session:
        """A session without a default service."""
        return self._session("keystone")

    def client(self, name: str, version: str | None = None) -> Any:
        """Return this thread's client of service *name*, a key of :data:`~karbor_like.conf.clients.SERVICES`.

        :param version: of the API; None: the one in that table
        """
        key = f"{name} {version}"
        client = getattr(self._local, key, None)
        if client is None:
            client = self._connect(name, version)
            setattr(self._local, key, client)
        return client

    def _connect(self, name: str, version: str | None) -> Any:
        service, endpoint = options.SERVICES[name], self._settings.endpoint(name)
        version = version or service.version
        if service.client is None:
            return adapter.Adapter(self._session(name), version=version, **endpoint)
        module, _, attribute = service.client.partition(":")
        endpoint[service.interface] = endpoint.pop("interface")
        create = getattr(importlib.import_module(module), attribute)
        return create(version, session=self._session(name), **endpoint)

    def cinder(self) -> Any:
        """Return a ``cinderclient.v3.client.Client``."""
        return self.client("cinder")

    def glance(self) -> Any:
        """Return a ``glanceclient.v2.client.Client``."""
        return self.client("glance")

    def nova(self, version: str | None = None) -> Any:
        """Return a ``novaclient.v2.client.Client``.

        :param version: microversion; None: the lowest one
        """
        return self.client("nova", version)

    def neutron(self) -> Neutron:
        """Return the client of Neutron."""
        return self.client("neutron")

    def manila(self) -> Manila:
        """Return the client of Manila."""
        return self.client("manila")

    def trove(self) -> Trove:
        """Return the client of Trove."""
        return self.client("trove")

    def kubernetes(self) -> kubernetes.Kubernetes | None:
        """Return the client for the namespace of the project in Kubernetes, with the account of this service.

        None if the project has none, in another cloud, and if no Kubernetes is configured.
        """
        client = getattr(self._local, "kubernetes", None)
        if client is None and self._settings.here:
            client = kubernetes.connect(self._settings.conf, self.context.project_id)
            self._local.kubernetes = client
        return client

    def heat(self) -> Any:
        """Return a ``heatclient.v1.client.Client``."""
        return self.client("heat")

    def keystone(self) -> adapter.Adapter:
        """Return a keystoneauth adapter to version 3 of the identity service."""
        return self.client("keystone")

    def adapter(self, name: str) -> adapter.Adapter:
        """Return a keystoneauth adapter to service *name*, for requests that its client library handles badly."""
        return adapter.Adapter(self._session(name), **self._settings.endpoint(name))

    def _session(self, name: str) -> Session:
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = self._settings.session(name, self._auth)
            return self._sessions[name]


class ClientFactory:
    """Creates :class:`Clients`. One per process.

    :param conf: with the groups of ``conf/clients.py``
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._identities = Identities(conf)

    def for_context(self, context: RequestContext) -> Clients:
        """Return clients that act as *context*'s user in this cloud, also after the token of *context* has expired.

        Raises NotAuthorized if the context has neither a token nor a trust.
        """
        return Clients(
            context, self._identities.for_context(context), _Settings(self._conf, self._identities, here=True)
        )

    def as_service(self) -> Clients:
        """Return clients that act as the service user. Raises ConfigurationError if none is configured."""
        auth = self._identities.for_service()
        return Clients(RequestContext(), auth, _Settings(self._conf, self._identities, here=True))

    def is_here(self, auth_url: str) -> bool:
        """Return whether *auth_url* is the Keystone of this cloud. Raises what ``translated`` raises if it must be asked."""
        return self._identities.is_here(auth_url)

    def as_service_in(self, project_id: str) -> Clients:
        """Sign in as the service user in a tenant's project, and return the clients.

        Raises NotAuthorized if it has no role there, ConfigurationError if there is no service user.
        """
        auth = self._identities.for_service_in(project_id)
        context = RequestContext(project_id=project_id)
        clients = Clients(context, auth, _Settings(self._conf, self._identities, here=True))
        with errors.translated(f"signing in as the service user in project {project_id}"):
            clients.session.get_token()
        return clients

    def is_lost(self, context: RequestContext) -> bool:
        """Ask Keystone whether *context*'s identity is lost: its trust, token, user, project or role no longer exists.

        False if there is no service user to ask as. Raises Unavailable if Keystone does not answer, ConfigurationError if the
        service user's account does not work.
        """
        try:
            service = self.as_service()
        except exception.ConfigurationError:
            return False
        try:
            with errors.translated("checking an identity"):
                token = self.for_context(context).session.get_token()
        except (exception.NotAuthorized, exception.NotFound):
            self.check_service_account()
            return True
        headers = {"X-Subject-Token": str(token)}
        try:
            with errors.translated("validating a token"):
                service.keystone().get("/auth/tokens?allow_expired=1&nocatalog=1", headers=headers)
        except exception.NotFound:
            return True
        except exception.NotAuthorized:
            LOG.warning("[service_auth] is not allowed to validate tokens; it needs the role 'service'")
        return False

    def check_service_account(self) -> None:
        """Check that the service user's account works: otherwise Keystone refuses valid trusts in the same way.

        Raises ConfigurationError if it does not.
        """
        try:
            self.service_user_id()
        except exception.NotAuthorized as error:
            raise exception.ConfigurationError(f"[service_auth]: {error}") from None

    def service_user_id(self) -> str:
        """Return the id of the service user, the trustee of all trusts. Raises ConfigurationError if none is configured."""
        return self._identities.service_user_id()

    def for_target(self, auth_url: str, auth: Mapping[str, Any]) -> Clients:
        """Sign in to another cloud as *auth* (see :meth:`Identities.for_target`) and return its clients.

        Raises InvalidInput if that cloud is not allowed or *auth* is incomplete, NotAuthorized if Keystone refuses *auth*.
        """
        auth_plugin = self._identities.for_target(auth_url, auth)
        session = self._identities.session(options.RESTORE_TARGET.name, auth_plugin)
        with errors.translated(f"signing in to {auth_url} as {auth['username']!r}"):
            access = auth_plugin.get_access(session)
        context = RequestContext(
            user_id=access.user_id,
            user_name=access.username,
            project_id=access.project_id,
            project_name=access.project_name,
        )
        return Clients(context, auth_plugin, _Settings(self._conf, self._identities, here=False))
