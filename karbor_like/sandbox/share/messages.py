"""Manila's user messages: reasons for failures of asynchronous calls."""

from karbor_like import clock as clocks
from karbor_like.sandbox import state, web

KIND = "share_message"


class Messages:
    """Messages of failed background jobs, shown by ``/messages``."""

    def __init__(self, store: state.Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, project_id: str, resource_type: str, resource_id: str, reason: str, code: str = "001_001") -> None:
        """Add a message; *code* names action and detail as Manila numbers them."""
        action, _, detail = code.partition("_")
        message = {
            "id": web.new_id(),
            "project_id": project_id,
            "action_id": action,
            "detail_id": detail,
            "message_level": "ERROR",
            "created_at": self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "request_id": f"req-{web.new_id()}",
            "resource_type": resource_type,
            "resource_id": resource_id,
            "user_message": reason,
        }
        self._store.put(KIND, message["id"], message)

    def all(self) -> list[state.Document]:
        return self._store.all(KIND)
