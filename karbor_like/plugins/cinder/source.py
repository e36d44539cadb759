"""The volume to protect, and its snapshot: the first steps of every plugin that protects volumes."""

from collections.abc import Mapping
from typing import Any

from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.plugins.cinder import server_snapshots
from karbor_like.plugins.cinder.objects import Snapshots, Volumes
from karbor_like.plugins.cinder.protectable import USABLE, obstacle
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.source import Source


def wait_until_idle(context: HookContext) -> Any:
    """Return the volume to protect, see :meth:`karbor_like.plugins.toolkit.source.Source.wait_until_idle`."""
    return _source(context).wait_until_idle()


def take_snapshot(context: HookContext, volume: Any, *, keep: bool = False) -> None:
    """Take the snapshot of *volume*, also of one in use, and wait until it is available. Idempotent.

    If Nova has taken one of all volumes of a server for this operation, it becomes the snapshot of the volume.

    :param keep: whether the snapshot is the result of the operation instead of a temporary object

    Raises what :meth:`karbor_like.plugins.toolkit.source.Source.take_copy` raises.
    """

    def create(name: str, markers: Mapping[str, str]) -> str:
        if taken := find_of_server(context):
            return server_snapshots.take_over(context, taken, name, markers)
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

    require_size(volume, _source(context).take_copy(create, keep=keep))


def find_of_server(context: HookContext) -> Any | None:
    """Return the snapshot that Nova took of the volume together with the others of its server, or None.

    Raises what :func:`karbor_like.plugins.cinder.server_snapshots.find` raises.
    """
    has_servers = any(each.type == resource.SERVER for each in context.siblings)
    return server_snapshots.find(context) if has_servers else None


def require_size(volume: Any, snapshot: Any) -> None:
    """Raise ResourceFailed unless the snapshot has the size of the volume."""
    require_equal(
        f"size in GiB of volume {volume.id}",
        {"volume": volume.size, "snapshot": snapshot.size},
        "If the volume was extended meanwhile, protect it again",
    )


def find_snapshot(context: HookContext) -> str:
    """Return the id of the snapshot that :func:`take_snapshot` took. Raises ResourceFailed if it no longer exists."""
    return _source(context).find_copy()


def _source(context: HookContext) -> Source:
    clients = context.clients
    return Source(context, Volumes(clients), Snapshots(clients), USABLE, obstacle, _owner)


def _owner(volume: Any) -> str | None:
    return getattr(volume, "os-vol-tenant-attr:tenant_id", None)
