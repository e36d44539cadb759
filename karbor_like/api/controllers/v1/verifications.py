from collections.abc import Mapping
from typing import Any

from karbor_like.api import validation, views
from karbor_like.api.controllers import requests
from karbor_like.api.expose import expose
from karbor_like.api.schemas import verifications as schemas
from karbor_like.db.verifications import VERIFICATIONS
from karbor_like.policies import verifications as rules


class Verifications(requests.Requests):
    """Checkpoints read back and compared with what was written."""

    noun = "verification"
    repository = VERIFICATIONS
    options_of = "verify_schema"

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List verifications."""
        return self.listing(query)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, verification_id: str) -> dict[str, Any]:
        """Show a verification."""
        return self.shown(validation.path_id("verification_id", verification_id))

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Verify a checkpoint that is available."""
        return self.started(body["verification"])

    @expose(policy=rules.CANCEL)
    def cancel(self, verification_id: str) -> None:
        """Cancel a verification that is in progress: it ends as ``fail``."""
        self.cancelled(validation.path_id("verification_id", verification_id))

    def view(self, row: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
        return views.verification(row, progress)

    def begin(self, request_id: str, auth: Mapping[str, Any] | None = None) -> None:
        self.deps.protection.verify(self.context, verification_id=request_id)
