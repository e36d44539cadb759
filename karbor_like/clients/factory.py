"""All SDKs, from one table. SDKs are imported when they are first used: each costs half a second."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keystoneauth1 import adapter, plugin
from keystoneauth1.session import Session
from oslo_config import cfg

from karbor_like.clients import errors
from karbor_like.clients.session import Identities
from karbor_like.conf import clients as options
from karbor_like.context import RequestContext


def _cinder(session: Session, **endpoint: Any) -> Any:
    from cinderclient import client

    # 3.30 has what is needed: messages (3.5), and snapshots of volumes in use by "force", which 3.66 takes away. From 3.31
    # on a list by name is refused where the operator's resource_filters.json does not allow it.
    return client.Client("3.30", session=session, **endpoint)


def _glance(session: Session, **endpoint: Any) -> Any:
    import glanceclient

    return glanceclient.Client("2", session=session, **endpoint)


def _nova(session: Session, *, interface: Any, **endpoint: Any) -> Any:
    from novaclient import client

    return client.Client("2.1", session=session, endpoint_type=interface, **endpoint)


def _heat(session: Session, **endpoint: Any) -> Any:
    from heatclient import client

    return client.Client("1", session=session, **endpoint)


def _keystone(session: Session, **endpoint: Any) -> Any:
    return adapter.Adapter(session, version="3", **endpoint)


_SDKS: Final[Mapping[str, Callable[..., Any]]] = {
    "cinder": _cinder,
    "glance": _glance,
    "nova": _nova,
    "heat": _heat,
    "keystone": _keystone,
}


@dataclass(frozen=True)
class _Settings:
    """How services are reached: option groups, and whether their endpoints and regions apply (they are this cloud's)."""

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
    """All SDKs of one identity in one cloud. May be used by any number of threads: each gets SDK objects of its own, since
    not all of them bear sharing; sessions with their connections are shared.

    :param context: who that is; ``context.project_id`` is the project in that cloud
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
        """The project in which this identity acts."""
        return str(self.context.project_id)

    @property
    def session(self) -> Session:
        """A session that is bound to no service."""
        return self._session("keystone")

    def cinder(self) -> Any:
        """A ``cinderclient.v3.client.Client``."""
        return self._sdk("cinder")

    def glance(self) -> Any:
        """A ``glanceclient.v2.client.Client``."""
        return self._sdk("glance")

    def nova(self) -> Any:
        """A ``novaclient.v2.client.Client``."""
        return self._sdk("nova")

    def heat(self) -> Any:
        """A ``heatclient.v1.client.Client``."""
        return self._sdk("heat")

    def keystone(self) -> adapter.Adapter:
        """A keystoneauth adapter to the identity service, version 3: nothing needs more."""
        return self._sdk("keystone")

    def adapter(self, name: str) -> adapter.Adapter:
        """A keystoneauth adapter to the service of SDK *name* ("glance" ...), for what its SDK does badly."""
        return adapter.Adapter(self._session(name), **self._settings.endpoint(name))

    def _sdk(self, name: str) -> Any:
        found = getattr(self._local, name, None)
        if found is None:
            found = _SDKS[name](self._session(name), **self._settings.endpoint(name))
            setattr(self._local, name, found)
        return found

    def _session(self, name: str) -> Session:
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = self._settings.session(name, self._auth)
            return self._sessions[name]


class ClientFactory:
    """Makes :class:`Clients`. One per process.

    :param conf: with the groups of ``conf/clients.py``
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._identities = Identities(conf)

    def for_context(self, context: RequestContext) -> Clients:
        """Acts as *context*'s user in this cloud, also after the token that *context* holds has expired.

        Raises NotAuthorized where the context holds neither a token nor a trust.
        """
        return Clients(
            context, self._identities.for_context(context), _Settings(self._conf, self._identities, here=True)
        )

    def as_service(self) -> Clients:
        """Acts as the service user. Raises ConfigurationError where there is none."""
        auth = self._identities.for_service()
        return Clients(RequestContext(), auth, _Settings(self._conf, self._identities, here=True))

    def service_user_id(self) -> str:
        """The id of the service user, who is the trustee of trusts. Raises ConfigurationError where there is none."""
        return self._identities.service_user_id()

    def for_target(self, auth_url: str, auth: Mapping[str, Any]) -> Clients:
        """Acts as the account *auth* (see :meth:`Identities.for_target`) in another cloud. Signs in at once.

        Raises InvalidInput where that cloud is not allowed or *auth* lacks something, NotAuthorized where it is refused.
        """
        plugin_ = self._identities.for_target(auth_url, auth)
        session = self._identities.session(options.RESTORE_TARGET.name, plugin_)
        with errors.translated(f"signing in to {auth_url} as {auth['username']!r}"):
            access = plugin_.get_access(session)
        context = RequestContext(
            user_id=access.user_id,
            user_name=access.username,
            project_id=access.project_id,
            project_name=access.project_name,
        )
        return Clients(context, plugin_, _Settings(self._conf, self._identities, here=False))
