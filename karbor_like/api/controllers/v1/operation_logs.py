from collections.abc import Mapping
from typing import Any

from karbor_like.api import validation, views
from karbor_like.api.controllers import base
from karbor_like.api.expose import expose
from karbor_like.api.schemas import operation_logs as schemas
from karbor_like.db.operations import OPERATIONS
from karbor_like.policies import operation_logs as rules


class OperationLogs(base.Controller):
    """Logs of operations."""

    @expose(policy=rules.LIST, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List operation logs."""
        page = self.page(query)
        found = self.rows(
            OPERATIONS,
            query,
            page,
            for_members=OPERATIONS.filters.keys() - {"project_id"},
            show=lambda session, rows: [views.operation_log(row) for row in rows],
        )
        return self.links("operation_logs", found, page)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, operation_log_id: str) -> dict[str, Any]:
        """Show an operation log."""
        operation_log_id = validation.path_id("operation_log_id", operation_log_id)
        row = OPERATIONS.look_up(self.deps.database, operation_log_id, self.context.scope)
        return {"operation_log": views.operation_log(row)}
