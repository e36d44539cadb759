"""The contract of the objects of one type in a cloud, which operations create, wait for and delete."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from karbor_like.clients.factory import Clients


class CloudObjects(ABC):
    """The objects of one type in a cloud. Every method may raise what ``translated`` raises."""

    #: The type in messages, such as "volume".
    noun: ClassVar[str]
    #: The state in which an object is usable.
    ready: ClassVar[str]
    #: The states that an object does not leave by itself and in which the cloud deletes it. None: any.
    deletable: ClassVar[frozenset[str] | None]

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    @abstractmethod
    def get(self, cloud_id: str) -> Any:
        """Return the current object, which has a ``status``. Raises ResourceNotFound."""

    @abstractmethod
    def find(self, name: str) -> Sequence[str]:
        """Return the ids of the project's objects with exactly this name. Clouds may ignore a filter by name."""

    @abstractmethod
    def delete(self, current: Any) -> None:
        """Ask the cloud to delete the object."""

    @abstractmethod
    def failure(self, current: Any) -> str | None:
        """Return the cloud's reason why the object will never be ready, or None if it may become so."""
