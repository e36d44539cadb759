from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.api import errors, validation, views
from karbor_like.api.controllers import requests
from karbor_like.api.expose import expose
from karbor_like.api.schemas import verifications as schemas
from karbor_like.db.verifications import VERIFICATIONS
from karbor_like.policies import verifications as rules


class Verifications(requests.Requests):
    """Verifications of checkpoints against the checksums that were stored."""

    noun = "verification"
    repository = VERIFICATIONS

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List verifications."""
        return self.list_requests(query)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, verification_id: str) -> dict[str, Any]:
        """Show a verification."""
        return self.show_request(validation.path_id("verification_id", verification_id))

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Verify a checkpoint that is available."""
        verification_id = self.new_id()
        with errors.as_bad_request(exception.CheckpointNotAvailable):
            self.deps.protection.verify(
                self.context, verification_id=verification_id, **self.arguments(body["verification"])
            )
        return self.show_request(verification_id)

    @expose(policy=rules.CANCEL)
    def cancel(self, verification_id: str) -> None:
        """Cancel a verification that is in progress: its status becomes ``fail``."""
        self.cancel_request(validation.path_id("verification_id", verification_id))

    def view(self, row: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
        return views.verification(row, progress)
