"""Snapshots of groups: of all volumes of a group in one request, at one moment if its storage can do that.

The volumes of an operation share a group snapshot. The first volume whose hook runs creates it, and each one that uses it
marks its snapshot in it. Cinder deletes these snapshots only together. So a volume that is deleted, or whose protection
failed, removes its mark, and the one that removes the last mark deletes the group snapshot.

The marks are in the metadata of the snapshots. So every process sees them, also after a crash, and a volume that was left out
cannot delete what the others need.
"""

import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.plugins.cinder.objects import GroupSnapshots, Volumes
from karbor_like.plugins.cinder.protectable import USABLE, obstacle
from karbor_like.plugins.cinder.source import find_of_server, require_size
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cleanup, cloud_objects, ownership
from karbor_like.plugins.toolkit.source import MEMBER_PATIENCE

#: Role of a volume's share in a group snapshot.
SHARE: Final = "group-snapshot"

#: The locks of those group snapshots that a thread of this process creates or deletes. One process runs an operation at a
#: time, and its threads run the hooks of several volumes at once.
_LOCKS: Final[weakref.WeakValueDictionary[str, Any]] = weakref.WeakValueDictionary()
_LOCKS_LOCK: Final = threading.Lock()


class Shares(GroupSnapshots):
    """The shares of one volume in the group snapshots of one operation. Their ids are those of the group snapshots.

    :param operation_id: of the protect; None: the present operation
    """

    shared = True

    def __init__(self, context: HookContext, operation_id: str | None = None) -> None:
        super().__init__(context.clients)
        self._volume_id = context.resource.id
        self._prefix = f"{ownership.name_prefix(operation_id or context.operation_id, 'group')}-"
        self._released: set[str] = set()

    def name(self, group_id: str) -> str:
        """Return the name of the operation's snapshot of a group. Every volume of the group finds it by the name."""
        return f"{self._prefix}{group_id}"

    def is_ours(self, current: Any) -> bool:
        """Return whether the operation created the group snapshot."""
        return (current.name or "").startswith(self._prefix)

    def get(self, cloud_id: str) -> Any:
        if cloud_id in self._released:
            raise exception.ResourceNotFound(
                f"volume {self._volume_id} has no share in group snapshot {cloud_id} any more"
            )
        return super().get(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        """Return the ids of the operation's group snapshots that include the volume, all of them for any *name*."""
        including = {snapshot.group_snapshot_id for snapshot in self._snapshots(volume_id=self._volume_id)}
        with translated("the group snapshots"):
            listed = self.manager.list()
        return [
            taken.id for taken in listed if taken.id in including and self.is_ours(taken) and taken.status != "deleting"
        ]

    def snapshot(self, cloud_id: str) -> Any:
        """Return the volume's snapshot in a group snapshot. Raises ResourceNotFound."""
        for snapshot in self._snapshots(volume_id=self._volume_id):
            if snapshot.group_snapshot_id == cloud_id and snapshot.volume_id == self._volume_id:
                return snapshot
        raise exception.ResourceNotFound(f"group snapshot {cloud_id} has no snapshot of volume {self._volume_id}")

    def delete(self, current: Any) -> None:
        """Remove the volume's mark. Ask Cinder to delete the group snapshot if it was the last one."""
        with _lock(current.name):
            # First remove, then look: of two volumes that do so at once, one sees that no mark remains.
            self._unmark(current.id)
            members = [snapshot for snapshot in self._snapshots() if snapshot.group_snapshot_id == current.id]
            if any(snapshot.volume_id != self._volume_id and _is_marked(snapshot) for snapshot in members):
                self._released.add(current.id)
            else:
                super().delete(current)

    def _unmark(self, cloud_id: str) -> None:
        # 404: there is no snapshot, or another attempt has removed the mark.
        with suppress(exception.ResourceNotFound):
            snapshot = self.snapshot(cloud_id)
            if _is_marked(snapshot):
                with translated(f"the metadata of snapshot {snapshot.id}"):
                    self.clients.cinder().volume_snapshots.delete_metadata(snapshot.id, [ownership.OPERATION])

    def _snapshots(self, **wanted: str) -> Sequence[Any]:
        with translated("the snapshots of the project"):
            listed: Sequence[Any] = self.clients.cinder().volume_snapshots.list(search_opts=wanted)
        return listed


def take(context: HookContext, volume: Any) -> tuple[bool, str]:
    """Give *volume* a share in an available snapshot of its group, if it has a group and that is possible. Idempotent.

    A group with volumes that are not in the operation is not snapshotted: they would need quota and storage.

    :returns: whether the volume has a share, and if it has none although other volumes of its group are in the operation: why

    Raises Unavailable if Cinder does not answer, and what ``context.check`` raises.
    """
    group_id, shares = getattr(volume, "group_id", None), Shares(context)
    if not group_id:
        return False, ""
    try:
        if context.waiter.call(lambda: find_of_server(context), check=context.check):
            return False, ""  # that of the server is shared by all its volumes
        if not context.waiter.call(lambda: shares.find(""), check=context.check):
            volumes = _volumes(context, group_id)
            ours = {member.id for member in (context.resource, *context.siblings) if member.type == resource.VOLUME}
            outside = sorted({member.id for member in volumes} - ours)
            if outside or len(volumes) < 2:
                cleanup.remove(context, shares, SHARE)
                shared = len(volumes) - len(outside) > 1
                return False, f"the checkpoint does not include volume {outside[0]} of the group" if shared else ""
            _wait_until_idle(context, group_id)
        _share(context, shares, volume, group_id)
    except (exception.LeaseLost, exception.Cancelled, exception.Unavailable):
        raise
    except exception.KarborLikeError as error:
        cleanup.remove(context, shares, SHARE)
        return False, exception.public_text(error)
    return True, ""


def find_snapshot(context: HookContext) -> Any | None:
    """Return the volume's snapshot in the group snapshot that :func:`take` took, or None if it has no share in one."""
    shares = Shares(context)
    if all(entry.role != SHARE for entry in context.journal.entries()):
        return None
    share_id = cloud_objects.find_existing(context, shares, SHARE)
    if share_id is None:
        return None
    return context.waiter.call(lambda: shares.snapshot(share_id), check=context.check)


def _share(context: HookContext, shares: Shares, volume: Any, group_id: str) -> None:
    """Find or create the group snapshot, mark the snapshot of *volume* in it, and wait until it is available."""
    context.report.step("taking a snapshot of the group of the volume")

    def create(name: str, markers: Any) -> str:
        with translated(f"creating the snapshot of group {group_id}"):
            taken = shares.manager.create(group_id, name=shares.name(group_id))
        taken_id: str = taken.id
        return taken_id

    def mark() -> Any:
        snapshot = shares.snapshot(share_id)
        with translated(f"the metadata of snapshot {snapshot.id}"):
            markers = ownership.markers(context.operation_id, SHARE, context.resource.key)
            context.clients.cinder().volume_snapshots.set_metadata(snapshot.id, markers)
        return snapshot

    with _lock(shares.name(group_id)):
        share_id = cloud_objects.ensure(context, shares, SHARE, create, keep=True)
        snapshot = context.waiter.call(mark, check=context.check)
    require_size(volume, snapshot)
    cloud_objects.wait(context, shares, share_id)


def _wait_until_idle(context: HookContext, group_id: str) -> None:
    """Wait until Cinder is busy with no volume of the group. Raises ResourceFailed if that does not happen in time."""

    def obstacles(volumes: Sequence[Any]) -> str | None:
        return next((f"volume {volume.id} of it: {why}" for volume in volumes if (why := obstacle(volume))), None)

    try:
        context.waiter.until(
            f"all volumes of group {group_id} to become available or in-use",
            lambda: _list_volumes(context, group_id),
            done=lambda volumes: all(volume.status in USABLE for volume in volumes),
            failed=obstacles,
            timeout=min(context.waiter.timeout, MEMBER_PATIENCE),
            check=context.check,
        )
    except exception.Timeout as error:
        raise exception.ResourceFailed(error.message) from error


def _volumes(context: HookContext, group_id: str) -> Sequence[Any]:
    return context.waiter.call(lambda: _list_volumes(context, group_id), check=context.check)


def _list_volumes(context: HookContext, group_id: str) -> Sequence[Any]:
    with translated(f"the volumes of group {group_id}"):
        listed = Volumes(context.clients).manager.list(search_opts={"group_id": group_id})
    return [volume for volume in listed if getattr(volume, "group_id", None) == group_id]


def _is_marked(snapshot: Any) -> bool:
    return ownership.OPERATION in snapshot.metadata


def _lock(name: str) -> Any:
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(name, threading.RLock())
