"""Processes of the service, for administrators."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base, formats


class Service(base.Resource):
    """A process that sends heartbeats."""

    resource_key = "service"
    resources_key = "services"
    base_path = "/os-services"
    allow_commit = allow_list = True
    _query_mapping = resource.QueryParameters("host", "binary")

    binary = resource.Body("binary")
    host = resource.Body("host")
    #: ``enabled`` or ``disabled``.
    status = resource.Body("status")
    #: ``up`` or ``down``.
    state = resource.Body("state")
    #: Why it is down although it sends heartbeats.
    state_reason = resource.Body("state_reason")
    #: The time of the last heartbeat.
    updated_at = resource.Body("updated_at", type=formats.Time)
    #: Why an administrator has disabled it.
    disabled_reason = resource.Body("disabled_reason")


class Services(proxy.Proxy):
    """Requests about services."""

    def services(self, **query: Any) -> Generator[Service, None, None]:
        """Yield services.

        :param query: ``host`` and ``binary``
        """
        return self._list(Service, **query)

    def enable_service(self, service: str | Service) -> Service:
        """Let an operation engine start runs again."""
        return self._switch(service, status="enabled")

    def disable_service(self, service: str | Service, reason: str | None = None) -> Service:
        """Stop an operation engine from starting runs."""
        return self._switch(service, status="disabled", **({"disabled_reason": reason} if reason else {}))

    def _switch(self, service: str | Service, **attributes: Any) -> Service:
        # The body has no wrapping member. A new object, because only changes are sent.
        changed = Service.new(id=str(resource.Resource._get_id(service)), **attributes)
        return changed.commit(self, prepend_key=False)
