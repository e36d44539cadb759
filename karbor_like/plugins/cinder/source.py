"""The volume to protect, and its snapshot: the first steps of every plugin that protects volumes."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder.objects import Snapshots, Volumes
from karbor_like.plugins.cinder.protectable import USABLE, obstacle
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, names
from karbor_like.plugins.toolkit.comparison import require_equal

#: Role of the snapshot.
SNAPSHOT: Final = "snapshot"

#: Seconds to wait for a volume that the plan does not name while Cinder is busy with it. It is left out then.
MEMBER_PATIENCE: Final = 300.0


def wait_until_idle(context: HookContext) -> Any:
    """Return the volume to protect as soon as Cinder is not busy with it.

    Raises ResourceNotProtectable if it has a state that it does not leave by itself, or not in time.
    """
    context.report.step("waiting for the volume to be idle")
    volumes, what = Volumes(context.clients), f"volume {context.resource.id}"

    def get() -> Any:
        volume = volumes.get(context.resource.id)
        if getattr(volume, "os-vol-tenant-attr:tenant_id", context.project_id) != context.project_id:
            raise exception.ResourceNotFound(f"{what} does not exist")
        reason = volumes.failure(volume) or obstacle(volume)
        if reason:
            raise exception.ResourceNotProtectable(f"{what} cannot be protected: {reason}")
        return volume

    try:
        volume = context.waiter.until(
            f"{what} to become available or in-use",
            get,
            done=lambda current: current.status in USABLE,
            timeout=min(context.waiter.timeout, MEMBER_PATIENCE) if context.is_member else None,
            check=context.check,
        )
    except exception.Timeout as error:
        # Otherwise Cinder did not answer.
        if get().status in USABLE:
            raise
        raise exception.ResourceNotProtectable(error.message) from error
    return volume


def take_snapshot(context: HookContext, volume: Any, *, keep: bool = False) -> None:
    """Take the snapshot of *volume*, also of one in use, and wait until it is available. Idempotent.

    :param keep: whether the snapshot is the result of the operation instead of a temporary object

    Raises ResourceNotProtectable if the state of the volume does not allow it, ResourceFailed with Cinder's reason.
    """
    context.report.step("taking a snapshot")

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating the snapshot of volume {volume.id}"):
            # force: also of volumes in use.
            snapshot = context.clients.cinder().volume_snapshots.create(
                volume.id,
                force=True,
                name=name,
                description=names.plain(context.parameters.get("description") or ""),
                metadata=markers,
            )
        return snapshot.id

    snapshots = Snapshots(context.clients)
    try:
        snapshot_id = cloud_objects.ensure(context, snapshots, SNAPSHOT, create, keep=keep)
    except exception.ResourceFailed as error:
        status = cloud_objects.fetch(context, Volumes(context.clients), volume.id).status
        if status in USABLE:
            raise
        raise exception.ResourceNotProtectable(
            f"volume {volume.id} became {status!r} before its snapshot was taken: {error.message}"
        ) from error
    snapshot = cloud_objects.wait(context, snapshots, snapshot_id)
    require_size(volume, snapshot)


def require_size(volume: Any, snapshot: Any) -> None:
    """Raise ResourceFailed unless the snapshot has the size of the volume."""
    require_equal(
        f"size in GiB of volume {volume.id}",
        {"volume": volume.size, "snapshot": snapshot.size},
        "If the volume was extended meanwhile, protect it again",
    )


def find_snapshot(context: HookContext) -> str:
    """Return the id of the snapshot that :func:`take_snapshot` took. Raises ResourceFailed if it no longer exists."""
    snapshot_id = cloud_objects.find_existing(context, Snapshots(context.clients), SNAPSHOT)
    if snapshot_id is None:
        raise exception.ResourceFailed(
            f"volume {context.resource.id}: its snapshot was deleted during the operation; protect it again"
        )
    return snapshot_id
