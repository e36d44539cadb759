"""Common parts of volumes, shares and snapshots: a document, a data file, transitional states, metadata."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, files, jobs, state, web

NAME_LENGTH = 255


class Messages(Protocol):
    """The service's messages to users."""

    def add(self, project_id: str, resource_type: str, resource_id: str, reason: str, code: str = ...) -> None: ...


class Quotas(Protocol):
    """The service's quotas."""

    def require(self, project_id: str | None, **wanted: int) -> None: ...


@dataclass(frozen=True)
class Common:
    """What all kinds of documents use."""

    store: state.Store
    clock: clocks.Clock
    jobs: jobs.Jobs
    messages: Messages
    quotas: Quotas


class Records:
    """The documents of one kind and their data files.

    :param folder: the data files; None for kinds without one
    """

    kind: str
    title: str

    def __init__(self, common: Common, folder: Path | None = None) -> None:
        self._store = common.store
        self._folder = folder
        self._clock = common.clock
        self._jobs = common.jobs
        self._messages = common.messages
        self._quotas = common.quotas

    def now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")

    def path(self, key: str) -> Path:
        """Return the path of the data file."""
        if self._folder is None:
            raise ValueError(f"{self.kind} has no data files")
        return self._folder / key

    def all(self) -> list[state.Document]:
        return self._store.all(self.kind)

    def get(self, caller: web.Identity, key: str) -> state.Document:
        """Return a document.

        :raises ApiError: 404, if it does not exist or belongs to another project
        """
        document = self._store.get(self.kind, key)
        if document is None or not caller.may_see(document["project_id"]):
            raise errors.not_found(f"{self.title} {key} could not be found.")
        return document

    def add(self, caller: web.Identity, values: dict[str, Any]) -> state.Document:
        """Store a new document in the status ``creating``."""
        now = self.now()
        document = {
            "id": web.new_id(),
            "status": "creating",
            "project_id": caller.project_id,
            "user_id": caller.user_id,
            "created_at": now,
            "updated_at": now,
            **values,
        }
        self._store.put(self.kind, document["id"], document)
        return document

    def set(self, key: str, **fields: Any) -> state.Document | None:
        """Change fields, if the document exists."""
        return self._store.change(self.kind, key, updated_at=self.now(), **fields)

    def update(self, caller: web.Identity, key: str, values: dict[str, Any]) -> state.Document:
        """Change name, description and metadata."""
        fields = described(values)
        with self._store.transaction():
            self.get(caller, key)
            return self.set(key, **fields) or {}

    def change_metadata(
        self, caller: web.Identity, key: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, str]:
        """Apply *change* to the metadata, and return the new metadata."""
        with self._store.transaction():
            metadata = self.check_metadata(change(self.get(caller, key)["metadata"]))
            self.set(key, metadata=metadata)
            return metadata

    def check_metadata(self, metadata: Any) -> dict[str, str]:
        """Validate metadata.

        :raises ApiError: 400
        """
        return checked_metadata(metadata)

    def reset(self, key: str, status: str) -> None:
        self.set(key, status=status)

    def start(
        self, document: state.Document, work: Callable[[], None], strikes: faults.Strikes, failed_status: str = "error"
    ) -> None:
        """Run *work* in the background; a failure, real or injected, is shown by the status and a message."""

        def failed(reason: str) -> None:
            if self.set(document["id"], status=failed_status):
                self._messages.add(document["project_id"], self.message_type, document["id"], reason)

        self._jobs.start(work, failed, strikes)

    @property
    def gib(self) -> int:
        """Bytes per GiB of nominal size; see :class:`karbor_like.sandbox.state.Settings`."""
        return self._jobs.gib

    @property
    def message_type(self) -> str:
        """The type of resource in messages."""
        return "VOLUME" if self.kind == "volume" else f"VOLUME_{self.kind.upper()}"

    def start_deletion(self, document: state.Document, strikes: faults.Strikes) -> None:
        """Delete document and data in the background; the status is already ``deleting``."""
        self.start(document, lambda: self.remove(document["id"]), strikes, "error_deleting")

    def remove(self, key: str) -> None:
        """Delete document and data now."""
        self._store.delete(self.kind, key)
        if self._folder is not None:
            files.remove(self.path(key))


def described(values: dict[str, Any]) -> dict[str, Any]:
    """Read name, description and metadata from a body.

    :raises ApiError: 400 for a name that is too long, or invalid metadata
    """
    fields: dict[str, Any] = {key: values[key] for key in ("name", "description") if key in values}
    if "display_name" in values:
        fields["name"] = values["display_name"]
    for key, value in fields.items():
        if value is not None and (not isinstance(value, str) or len(value) > NAME_LENGTH):
            raise errors.bad_request(f"Invalid input for field/attribute {key}. Value: {value}. {value!r} is too long")
    if values.get("metadata") is not None:
        fields["metadata"] = checked_metadata(values["metadata"])
    return fields


def checked_metadata(metadata: Any) -> dict[str, str]:
    """Validate metadata.

    :raises ApiError: 400, if it is not a mapping of texts to texts, of at most 255 characters each
    """
    if not isinstance(metadata, dict):
        raise errors.bad_request(f"Invalid input for field/attribute metadata. Value: {metadata}. It is not an object")
    for key, value in metadata.items():
        if not isinstance(value, str) or not 1 <= len(key) <= NAME_LENGTH or len(value) > NAME_LENGTH:
            raise errors.bad_request(f"Invalid input for field/attribute metadata. Value: {{{key!r}: {value!r}}}.")
    return metadata
