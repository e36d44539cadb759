from collections.abc import Mapping
from typing import Any

from karbor_like import exception, service
from karbor_like.api import views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import services as schemas
from karbor_like.db import services
from karbor_like.db.models import Service
from karbor_like.policies import services as rules

_ENABLED = "enabled"


class Services(base.Controller):
    """Processes that send heartbeats."""

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.ALL)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List services."""
        with self.deps.database.reader() as session:
            found = services.list_all(session, host=query.get("host"), binary=query.get("binary"))
            return {"services": [self._shown(session, row) for row in found]}

    @expose(policy=rules.UPDATE, body=schemas.UPDATE, response=schemas.SHOWN)
    def update(self, service_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Enable or disable an operation engine. A disabled one starts no runs."""
        status, reason = body["status"], body.get("disabled_reason")
        if status == _ENABLED and reason:
            raise exception.InvalidInput("disabled_reason: cannot be given together with the status 'enabled'")
        if not (service_id.isascii() and service_id.isdigit() and len(service_id) <= 9):
            raise exception.ServiceNotFound(f"service {service_id!r} could not be found")

        def change(session: Any) -> dict[str, Any]:
            row = services.get(session, int(service_id))
            if row.binary != service.OPERATION_ENGINE_BINARY:
                raise exception.InvalidInput(
                    f"service {service_id} is a {row.binary}; only {service.OPERATION_ENGINE_BINARY} can be enabled or "
                    "disabled"
                )
            row.update({"status": status, "disabled_reason": None if status == _ENABLED else reason})
            session.flush()
            return self._shown(session, row)

        return {"service": self.deps.database.write(change)}

    def _shown(self, session: Any, row: Service) -> dict[str, Any]:
        return views.service(row, up=services.is_up(session, row, self.deps.conf.service.down_time))
