from collections.abc import Mapping
from typing import Any
from urllib import parse

from karbor_like import exception
from karbor_like.api import errors, validation, views
from karbor_like.api.controllers import requests
from karbor_like.api.expose import expose
from karbor_like.api.schemas import restores as schemas
from karbor_like.db.restores import RESTORES
from karbor_like.policies import restores as rules


class Restores(requests.Requests):
    """Restores of checkpoints, in this or in another cloud."""

    noun = "restore"
    repository = RESTORES

    @expose(policy=rules.GET_ALL, query=schemas.LIST, response=schemas.PAGE)
    def list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """List restores."""
        return self.list_requests(query)

    @expose(policy=rules.GET, response=schemas.SHOWN)
    def show(self, restore_id: str) -> dict[str, Any]:
        """Show a restore."""
        return self.show_request(validation.path_id("restore_id", restore_id))

    @expose(policy=rules.CREATE, body=schemas.CREATE, response=schemas.SHOWN, starts_operation=True)
    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Restore a checkpoint that is available, or some of its resources, or find out what a restore would do."""
        asked = body["restore"]
        _check_target(asked.get("restore_target"))
        auth = {name: value for name, value in (asked.get("restore_auth") or {}).items() if value is not None}
        restore_id = self.new_id()
        with errors.as_bad_request(exception.CheckpointNotAvailable):
            self.deps.protection.restore(
                self.context,
                restore_id=restore_id,
                restore_target=asked.get("restore_target"),
                restore_auth=auth,
                resources=asked.get("resources"),
                with_children=asked.get("with_children", True),
                dry_run=asked.get("dry_run", False),
                with_plan=asked.get("with_plan", False),
                **self.arguments(asked),
            )
        return self.show_request(restore_id)

    @expose(policy=rules.CANCEL)
    def cancel(self, restore_id: str) -> None:
        """Cancel a restore that is in progress: its status becomes ``fail``, and what it created is deleted."""
        self.cancel_request(validation.path_id("restore_id", restore_id))

    def view(self, row: Any, progress: Mapping[str, Any]) -> dict[str, Any]:
        return views.restore(row, progress)


def _check_target(target: str | None) -> None:
    try:
        # A malformed port is only detected when it is read.
        _ = parse.urlsplit(target or "").port
    except ValueError as error:
        raise errors.InvalidRequest(
            [errors.Field("restore.restore_target", "format", f"is not a URL: {error}")]
        ) from None
