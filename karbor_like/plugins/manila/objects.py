"""Manila's shares and snapshots as objects that operations create and delete."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.objects import CloudObjects, Mark
from karbor_like.plugins.toolkit import ownership


@dataclass(frozen=True)
class Shown:
    """A share or a snapshot as Manila shows it.

    :param name: empty if it has none
    :param size: GiB
    :param values: everything
    """

    id: str
    name: str
    status: str
    size: int
    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Shown":
        """Return an object of a response. Raises Unavailable if it is not one."""
        name, status, size = values.get("name") or "", values.get("status"), values.get("size")
        if not isinstance(name, str) or not isinstance(status, str) or type(size) is not int:
            raise exception.Unavailable(f"Manila's response about {values.get('id')!r} cannot be understood")
        return cls(str(values.get("id")), name, status, size, values)

    @property
    def owner(self) -> str | None:
        """The project that it belongs to, or None if Manila does not say it."""
        return self.values.get("project_id")

    @property
    def metadata(self) -> Mapping[str, Any]:
        found = self.values.get("metadata")
        return found if isinstance(found, Mapping) else {}


class _Manila(CloudObjects):
    ready = "available"
    collection: ClassVar[str]

    def get(self, cloud_id: str) -> Shown:
        with translated(f"{self.noun} {cloud_id}"):
            return Shown.of(self.clients.manila().show(self.collection, cloud_id))

    def find(self, name: str) -> Sequence[str]:
        with translated(f"{self.noun}s named {name}"):
            listed = self.clients.manila().list(self.collection, name=name)
        return [found["id"] for found in listed if found.get("name") == name]

    def delete(self, current: Any) -> None:
        with translated(f"deleting {self.noun} {current.id}"):
            self.clients.manila().delete(self.collection, current.id)

    def failure(self, current: Any) -> str | None:
        # Such as error, error_deleting, reverting_error.
        if "error" not in current.status:
            return None
        return f"Manila put it into state {current.status!r}: {_message(self.clients, current.id)}"

    def scan(self) -> Iterable[Shown]:
        with translated(f"the {self.noun}s of the project"):
            listed = self.clients.manila().list(self.collection)
        return map(Shown.of, listed)

    def mark(self, current: Shown) -> Mark | None:
        return ownership.mark(current.id, current.name, current.metadata, current.values.get("created_at"))

    def describe(self, cloud_id: str, texts: Mapping[str, Any]) -> None:
        """Set ``name``, ``description`` or both. For :class:`~karbor_like.plugins.toolkit.details.Details`."""
        values = {key if key == "is_public" else f"display_{key}": text for key, text in texts.items()}
        self.clients.manila().update(self.collection, cloud_id, values)


class Shares(_Manila):
    """Shares of the project."""

    noun = "share"
    collection = "shares"
    deletable = frozenset({"available", "error", "inactive"})


class Snapshots(_Manila):
    """Snapshots of shares of the project."""

    noun = "snapshot"
    collection = "snapshots"
    deletable = frozenset({"available", "error"})


def _message(clients: Clients, cloud_id: str) -> str:
    """Return Manila's latest user message about an object, or a placeholder."""
    try:
        with translated("messages"):
            messages = clients.manila().list("messages", resource_id=cloud_id)
    except exception.KarborLikeError:  # the message is informational; callers act on the state
        messages = []
    texts = [found.get("user_message") for found in messages if found.get("resource_id") == cloud_id]
    return str(texts[-1]) if texts else "no reason given"
