"""Cinder's user messages: reasons for failures of asynchronous calls."""

from datetime import timedelta

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, state, web


class Messages:
    """Messages of failed background jobs, shown by ``/messages``."""

    def __init__(self, store: state.Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, project_id: str, resource_type: str, resource_id: str, reason: str, code: str = "001_001") -> None:
        """Add a message; *code* names action and detail as Cinder numbers them."""
        now = self._clock.now()
        message = {
            "id": web.new_id(),
            "project_id": project_id,
            "event_id": f"VOLUME_{resource_type}_{code}",
            "user_message": reason,
            "message_level": "ERROR",
            "resource_type": resource_type,
            "resource_uuid": resource_id,
            "request_id": f"req-{web.new_id()}",
            "created_at": now.strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "guaranteed_until": (now + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        }
        self._store.put("message", message["id"], message)

    def all(self) -> list[state.Document]:
        return self._store.all("message")

    def get(self, caller: web.Identity, message_id: str) -> state.Document:
        """Return a message.

        :raises ApiError: 404
        """
        message = self._store.get("message", message_id)
        if message is None or not caller.may_see(message["project_id"]):
            raise errors.not_found(f"Message {message_id} could not be found.")
        return message

    def delete(self, caller: web.Identity, message_id: str) -> None:
        self._store.delete("message", self.get(caller, message_id)["id"])
