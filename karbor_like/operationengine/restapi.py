"""Client of the public REST API, through keystoneauth, that acts as the owner of a scheduled operation.

The engine uses only the public API, so that any other scheduler can replace it.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from keystoneauth1 import adapter

from karbor_like import exception
from karbor_like.clients import errors

#: Larger than the default page; the API reduces it to its maximum.
_PAGE = 1000


@contextlib.contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Translate errors as :func:`karbor_like.clients.errors.translated` does, with the message from the API's response.

    keystoneauth does not know the format of the API's errors.
    """
    try:
        with errors.translated(what):
            yield
    except exception.KarborLikeError as error:
        message = _message(getattr(error.__cause__, "response", None))
        if message is None:
            raise
        raise type(error)(f"{what}: {message}") from error.__cause__


def _message(response: Any) -> str | None:
    """Return the ``message`` in an error response of the API, or None if it is not one."""
    try:
        (content,) = response.json().values()
        return str(content["message"])
    except (AttributeError, ValueError, TypeError, KeyError):
        return None


class RestApi:
    """Calls of the REST API.

    :param adapter: of service type ``data-protect``, acting as the owner
    """

    def __init__(self, adapter: adapter.Adapter) -> None:
        self._adapter = adapter

    def protect(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any], key: str) -> str:
        """Start a checkpoint and return its id. Idempotent for the same *key*."""
        body = {"checkpoint": {"plan_id": plan_id, "extra-info": dict(extra_info)}}
        path = f"/providers/{provider_id}/checkpoints"
        with _translate_errors(f"protecting plan {plan_id}"):
            answer = self._adapter.post(path, json=body, headers={"Idempotency-Key": key})
        return answer.json()["checkpoint"]["id"]

    def exists(self, collection: str, object_id: str) -> bool:
        """Return whether *collection* (``plans`` or ``providers``) has an object with this id."""
        try:
            with _translate_errors(f"{collection} {object_id}"):
                self._adapter.get(f"/{collection}/{object_id}")
        except exception.NotFound:
            return False
        return True

    def find(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any]) -> str | None:
        """Return the id of the checkpoint of a plan that was started with *extra_info*, or None."""
        for checkpoint in self._list(provider_id, plan_id):
            if json.loads(checkpoint["extra_info"]) == extra_info:
                return str(checkpoint["id"])
        return None

    def checkpoint(self, provider_id: str, checkpoint_id: str) -> Mapping[str, Any]:
        """Show a checkpoint."""
        with _translate_errors(f"checkpoint {checkpoint_id}"):
            return self._adapter.get(f"/providers/{provider_id}/checkpoints/{checkpoint_id}").json()["checkpoint"]

    def checkpoints(self, provider_id: str, plan_id: str) -> Sequence[Mapping[str, Any]]:
        """List the available checkpoints of a plan."""
        return list(self._list(provider_id, plan_id, status="available"))

    def _list(self, provider_id: str, plan_id: str, **filters: str) -> Iterator[Mapping[str, Any]]:
        marker: dict[str, str] = {}
        while True:
            query = {"plan_id": plan_id, "limit": _PAGE, **filters, **marker}
            with _translate_errors(f"the checkpoints of plan {plan_id}"):
                answer = self._adapter.get(f"/providers/{provider_id}/checkpoints", params=query).json()
            yield from answer["checkpoints"]
            if not answer.get("checkpoints_links"):
                return
            marker = {"marker": answer["checkpoints"][-1]["id"]}

    def delete(self, provider_id: str, checkpoint_id: str) -> bool:
        """Start the deletion of a checkpoint.

        :returns: False if the checkpoint was already deleted or is in use
        """
        try:
            with _translate_errors(f"deleting checkpoint {checkpoint_id}"):
                self._adapter.delete(f"/providers/{provider_id}/checkpoints/{checkpoint_id}")
        except (exception.NotFound, exception.Conflict):
            return False
        return True


def created_at(checkpoint: Mapping[str, Any]) -> datetime:
    """Return the creation time of a checkpoint, timezone-aware UTC.

    It is read from ``timestamp``, because ``created_at`` has no time of day.
    """
    return datetime.fromisoformat(checkpoint["timestamp"])
