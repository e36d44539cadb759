"""The contract of backends: ways to the bytes of a volume, one for each kind of storage."""

import platform
import socket
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from karbor_like.datapath.contract import VolumeReader, VolumeWriter
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext

#: What Cinder answers to a client that attaches a volume: ``driver_volume_type``, and how to reach it.
Connection = Mapping[str, Any]


class Times(Protocol):
    """The plugin, as far as its backends know it."""

    #: Bytes of a volume for each GiB of its size.
    gib: ClassVar[int]

    def timeout(self, context: HookContext, size: int) -> float:
        """Return the seconds that a cloud may take to copy *size* bytes."""
        ...


@dataclass(frozen=True)
class StoredVolume:
    """A volume that the tenant's own token has shown, and its place.

    :param stored_id: the id by which the storage calls it
    :param host: of Cinder, such as ``cinder@ceph#pool``; None: no service user is configured, who could see it
    :param size: GiB
    """

    id: str
    stored_id: str
    host: str | None
    size: int


class Backend(ABC):
    """One kind of storage, as a worker reaches it. Immutable: threads share it.

    :param conf: the options of the plugin
    :param argument: what the option ``backends`` says after the kind, or an empty text
    """

    #: Its name in the option ``backends``.
    kind: ClassVar[str]
    #: Whether readers can tell what has changed since an earlier snapshot.
    tells_changes: ClassVar[bool] = True
    #: Whether the storage can keep marks below Cinder.
    keeps_marks: ClassVar[bool] = False

    def __init__(self, conf: Any, argument: str) -> None:
        self.conf = conf
        self.argument = argument

    @property
    def map_name(self) -> str:
        """The kind of map that readers have. What one kind said wrongly, another may say rightly."""
        return self.kind

    @abstractmethod
    def obstacle(self, context: HookContext, volume: StoredVolume) -> str | None:
        """Return what this worker lacks to read and write *volume*, a clause, or None."""

    @abstractmethod
    def open_reader(
        self, context: HookContext, volume: StoredVolume, snapshot_id: str, times: Times
    ) -> AbstractContextManager[VolumeReader]:
        """Open a snapshot of *volume*.

        Raises CannotOpen if this worker cannot; SourceFailed and SourceGone as readers do; and errors of the cloud.
        """

    @abstractmethod
    def open_writer(
        self, context: HookContext, volume: StoredVolume, connection: Connection
    ) -> AbstractContextManager[VolumeWriter]:
        """Open a volume that the operation has made and attached. Raises CannotOpen, TargetFailed.

        :param connection: what Cinder answered when it was attached
        """

    def zeroes_new(self, connection: Connection) -> bool:
        """Return whether a new volume reads as zero, so that zeros need not be written.

        :param connection: as for :meth:`open_writer`
        """
        return True

    def keep_mark(self, volume: StoredVolume, mark_id: str) -> None:
        """Make a mark of the present content of *volume*, unless it exists. Raises CannotOpen, TargetFailed.

        :param mark_id: UUID
        """
        raise NotImplementedError

    def kept_marks(self, volume: StoredVolume) -> Collection[str]:
        """Return the ids of the marks of *volume*."""
        raise NotImplementedError

    def remove_mark(self, volume: StoredVolume, mark_id: str) -> None:
        """Delete a mark, if it exists."""
        raise NotImplementedError

    def open_mark(self, volume: StoredVolume, mark_id: str) -> AbstractContextManager[VolumeReader]:
        """Open a mark as :meth:`open_reader` opens a snapshot."""
        raise NotImplementedError

    def connector(self) -> Mapping[str, Any]:
        """Describe this worker to Cinder, as a client that attaches volumes."""
        return {
            "host": socket.gethostname(),
            "platform": platform.machine(),
            "os_type": platform.system().lower(),
            "multipath": False,
        }

    def temporary(self, context: HookContext) -> Mapping[str, CloudObjects]:
        """Return the types of the temporary objects that :meth:`open_reader` makes, by their roles in the journal."""
        return {}
