"""The public REST API as the engine uses it: as the owner of a scheduled operation, through keystoneauth.

The engine knows nothing that any other client of the API could not know, so that it can be replaced by any scheduler.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from keystoneauth1 import adapter

from karbor_like import exception
from karbor_like.clients import errors

#: More than any page has by default; the API caps it at what it allows.
_PAGE = 1000


@contextlib.contextmanager
def _answered(what: str) -> Iterator[None]:
    """As :func:`karbor_like.clients.errors.translated`, with the API's own words: keystoneauth does not know its errors."""
    try:
        with errors.translated(what):
            yield
    except exception.KarborLikeError as error:
        message = _message(getattr(error.__cause__, "response", None))
        if message is None:
            raise
        raise type(error)(f"{what}: {message}") from error.__cause__


def _message(response: Any) -> str | None:
    """The ``message`` in an error of the API; None where it is something else."""
    try:
        (content,) = response.json().values()
        return str(content["message"])
    except (AttributeError, ValueError, TypeError, KeyError):
        return None


class RestApi:
    """:param adapter: of service type ``data-protect``, acting as the owner"""

    def __init__(self, adapter: adapter.Adapter) -> None:
        self._adapter = adapter

    def protect(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any], key: str) -> str:
        """Begin a checkpoint and return its id. The same *key* never begins a second one."""
        body = {"checkpoint": {"plan_id": plan_id, "extra-info": dict(extra_info)}}
        path = f"/providers/{provider_id}/checkpoints"
        with _answered(f"protecting plan {plan_id}"):
            answer = self._adapter.post(path, json=body, headers={"Idempotency-Key": key})
        return answer.json()["checkpoint"]["id"]

    def exists(self, collection: str, object_id: str) -> bool:
        """Whether ``plans`` or ``providers`` has one of this id."""
        try:
            with _answered(f"{collection} {object_id}"):
                self._adapter.get(f"/{collection}/{object_id}")
        except exception.NotFound:
            return False
        return True

    def find(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any]) -> str | None:
        """The id of the checkpoint of a plan that was begun with *extra_info*."""
        for checkpoint in self._listed(provider_id, plan_id):
            if json.loads(checkpoint["extra_info"]) == extra_info:
                return str(checkpoint["id"])
        return None

    def checkpoint(self, provider_id: str, checkpoint_id: str) -> Mapping[str, Any]:
        """The checkpoint as it is now."""
        with _answered(f"checkpoint {checkpoint_id}"):
            return self._adapter.get(f"/providers/{provider_id}/checkpoints/{checkpoint_id}").json()["checkpoint"]

    def checkpoints(self, provider_id: str, plan_id: str) -> Sequence[Mapping[str, Any]]:
        """All available checkpoints of a plan."""
        return list(self._listed(provider_id, plan_id, status="available"))

    def _listed(self, provider_id: str, plan_id: str, **filters: str) -> Iterator[Mapping[str, Any]]:
        marker: dict[str, str] = {}
        while True:
            query = {"plan_id": plan_id, "limit": _PAGE, **filters, **marker}
            with _answered(f"the checkpoints of plan {plan_id}"):
                answer = self._adapter.get(f"/providers/{provider_id}/checkpoints", params=query).json()
            yield from answer["checkpoints"]
            if not answer.get("checkpoints_links"):
                return
            marker = {"marker": answer["checkpoints"][-1]["id"]}

    def delete(self, provider_id: str, checkpoint_id: str) -> bool:
        """Begin to delete a checkpoint. False where it is gone already or is in use."""
        try:
            with _answered(f"deleting checkpoint {checkpoint_id}"):
                self._adapter.delete(f"/providers/{provider_id}/checkpoints/{checkpoint_id}")
        except (exception.NotFound, exception.Conflict):
            return False
        return True


def created_at(checkpoint: Mapping[str, Any]) -> datetime:
    """When a checkpoint was made, timezone-aware UTC: ``timestamp`` has the time of day that ``created_at`` lacks."""
    return datetime.fromisoformat(checkpoint["timestamp"])
