"""The contract of the objects of one type in a cloud, which operations create, wait for and delete."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from karbor_like.clients.factory import Clients


@dataclass(frozen=True)
class Mark:
    """What an object in a cloud says about the operation that created it.

    :param cloud_id: of the object
    :param name: by which the operation finds it, as far as the object shows that, otherwise its own name
    :param operation_id: UUID
    :param created_at: by the clock of the cloud, timezone-aware; None: the cloud does not say it
    :param final: whether the object may be the result of a restore that succeeded. Usually a result loses its mark then
    :param recorded: whether the journal of the operation says this, because the object cannot
    """

    cloud_id: str
    name: str
    operation_id: str
    created_at: datetime | None
    final: bool = False
    recorded: bool = False


class CloudObjects(ABC):
    """The objects of one type in a cloud. Every method may raise what ``translated`` raises."""

    #: The type in messages, such as "volume".
    noun: ClassVar[str]
    #: The state in which an object is usable.
    ready: ClassVar[str]
    #: The states that an object does not leave by itself and in which the cloud deletes it. None: any.
    deletable: ClassVar[frozenset[str] | None]
    #: The type in the template of a restore, of objects that can carry no mark. Instead, the journal of an operation whose
    #: clean-up was given up tells the search for orphaned resources what the operation created. So the cloud must never give
    #: the id of an object to another one. None: the objects have marks, or are not searched.
    journal_type: ClassVar[str | None] = None
    #: Whether several resources of one operation use the same object. Then the first attempt of each of them looks for one,
    #: which another may have created. Otherwise only a further attempt does.
    shared: ClassVar[bool] = False

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

    def scan(self) -> Iterable[Any]:
        """Go through the project's objects, page by page, each as :meth:`get` or a list of the cloud shows it.

        For the search for orphaned resources, which leaves types alone that do not implement it.
        """
        return ()

    def mark(self, current: Any) -> Mark | None:
        """Return the mark of an object that :meth:`scan` or :meth:`get` returned, or None if no operation created it."""
        return None

    def is_used(self, current: Any) -> bool:
        """Return whether others use an object of a :attr:`journal_type`, which then is not orphaned."""
        return False
