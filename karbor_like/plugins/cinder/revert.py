"""The reversion of a volume to its latest snapshot."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder import restored
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects

#: Cinder reverts volumes from this microversion on.
_MICROVERSION: Final = "3.40"


class Revert:
    """Reverts the original volume of a checkpoint. All bytes that were written since are lost.

    :param document: of the checkpoint
    """

    def __init__(self, context: HookContext, document: Mapping[str, Any]) -> None:
        self._context = context
        self._snapshot: Mapping[str, Any] = document["snapshot"]
        self._volumes = Volumes(context.clients)
        self._volume_id = context.resource.id

    def obstacles(self) -> list[str]:
        """Return the reasons why Cinder would refuse it."""
        volume = cloud_objects.fetch(self._context, self._volumes, self._volume_id)
        return [
            *[
                f"the {name.replace('_', ' ')} of a reverted volume cannot change"
                for name in restored.requested(self._context)
            ],
            *self._mismatches(volume),
            *([f"it is {volume.status!r}, and must be available"] if volume.status != self._volumes.ready else []),
            *self._later_snapshots(),
        ]

    def perform(self, timeout: float) -> tuple[str, list[str]]:
        """Revert the volume. Return its id, and a remark for each requested property that Cinder refuses. Idempotent.

        :param timeout: seconds
        """
        self._context.report.step("reverting the volume to the snapshot")
        self._context.waiter.call(self._begin, check=self._context.check)
        cloud_objects.wait(self._context, self._volumes, self._volume_id, timeout)
        return self._volume_id, restored.name_existing(self._context, self._volume_id)

    def _begin(self) -> None:
        # An earlier attempt may have begun. Once that has ended, another reversion changes nothing.
        if self._volumes.get(self._volume_id).status == "reverting":
            return
        self._context.check()
        with translated(f"reverting volume {self._volume_id} to snapshot {self._snapshot['id']}"):
            self._context.clients.adapter("cinder").post(
                f"/volumes/{self._volume_id}/action",
                json={"revert": {"snapshot_id": self._snapshot["id"]}},
                microversion=_MICROVERSION,
            )

    def _mismatches(self, volume: Any) -> list[str]:
        own = self._context.clients.project_id
        if getattr(volume, "os-vol-tenant-attr:tenant_id", own) != own:
            raise exception.ResourceNotFound(f"volume {self._volume_id} does not exist")
        if volume.size != self._snapshot["size"]:
            return [f"it has {volume.size} GiB now, and the snapshot {self._snapshot['size']} GiB"]
        return []

    def _later_snapshots(self) -> list[str]:
        def list_all() -> list[Any]:
            with translated(f"the snapshots of volume {self._volume_id}"):
                return self._context.clients.cinder().volume_snapshots.list(search_opts={"volume_id": self._volume_id})

        listed = self._context.waiter.call(list_all, check=self._context.check)
        snapshots = {snapshot.id: snapshot for snapshot in listed if snapshot.volume_id == self._volume_id}
        ours = snapshots.get(self._snapshot["id"])
        later = [s.id for s in snapshots.values() if ours is not None and s.created_at > ours.created_at]
        return (
            [f"snapshot {', '.join(later)} of it is later, and Cinder reverts to the latest one only"] if later else []
        )
