"""The protect of ``volume-direct``: snapshot, extents, bank, clean-up."""

from collections.abc import Mapping
from typing import Any

from karbor_like import exception
from karbor_like.datapath import errors
from karbor_like.plugins.cinder import kept, metadata, source, volume_glance
from karbor_like.plugins.cinder.direct import bases, choice, route
from karbor_like.plugins.cinder.direct.backend import Backend
from karbor_like.plugins.cinder.direct.plugin import DirectPlugin
from karbor_like.plugins.cinder.objects import Snapshots, Volumes
from karbor_like.plugins.cinder.volume_data import require_unencrypted
from karbor_like.plugins.glance import data, integrity
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents
from karbor_like.plugins.toolkit.source import SNAPSHOT


class Protect(ResourceOperation):
    """The snapshot is taken in ``prepare_finish``, so that those of all volumes of a plan are taken close together."""

    plugin: DirectPlugin

    def prepare_finish(self, context: HookContext) -> None:
        volume = source.wait_until_idle(context)
        require_unencrypted(
            volume, "its bytes are of no use without its key, which other clouds and projects do not have"
        )
        # The properties at the time of the snapshot, and the route, which an earlier attempt may have chosen.
        chosen = (documents.find(context) or {}).get(route.ROUTE) or self._choose(context, volume)
        documents.put(context, {"volume": metadata.describe(volume), route.ROUTE: chosen})
        source.take_snapshot(context, volume, keep=bool(chosen.get("keeps")))

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        if not route.is_glance(document):
            try:
                return self._directly(context, document)
            except errors.CannotOpen as error:
                if "image" in document:
                    raise
                reason = f"this worker cannot open the snapshot: {exception.public_text(error)}"
                document = {**document, route.ROUTE: self.plugin.fall_back(context, reason)}
                documents.put(context, document)
                for role, objects in reversed([*self._of_backends(context).items()]):
                    cleanup.remove(context, objects, role)
        # A snapshot that was to be kept is of no use to the next protect.
        result = volume_glance.Protect(self.plugin).main(context)
        remaining = self._release(context, everything=True)
        return {"remarks": [*route.remarks(document), *(result.get("remarks") or ()), *remaining]}

    def release(self, context: HookContext) -> list[str]:
        return self._release(context, everything=False)

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, self._created(context))

    def _choose(self, context: HookContext, volume: Any) -> dict[str, Any]:
        backend, reason = choice.choose(context, self.plugin.rules, choice.locate(context, volume))
        if backend is None:
            return self.plugin.fall_back(context, reason)
        keeps = self.plugin.conf.keep_mark == "cinder" and not bases.is_distrusted(context, backend.map_name)
        return route.direct(backend.kind, keeps=keeps)

    def _directly(self, context: HookContext, document: Mapping[str, Any]) -> dict[str, Any]:
        remarks: list[str] = []
        # Otherwise an earlier attempt stored everything, and died while it deleted what is temporary.
        if "image" not in document:
            remarks = self._store(context, document)
        data.report_sizes(context, context.section.stats(data.DATA))
        context.report.step("deleting what is temporary")
        return {"remarks": [*remarks, *self.release(context)]}

    def _store(self, context: HookContext, document: Mapping[str, Any]) -> list[str]:
        """Store bytes, mark and document, in this order: the document says that everything is there."""
        backend, written, content = self._read(context)
        self.plugin.check_size(context, document, written.stats)
        self._mark(context, backend, written, content)
        context.report.step("storing the metadata")
        members = {
            **document,
            "image": integrity.raw(written.stats.logical),
            "backup_name": context.parameters.get("backup_name"),
            "description": context.parameters.get("description"),
        }
        documents.put(context, members)
        return list(written.remarks)

    def _read(self, context: HookContext) -> tuple[Backend, bases.Written, Mapping[str, Any] | None]:
        """Return the backend, what was written, and the mark of the reader."""
        context.report.step("opening the snapshot")
        snapshot_id = source.find_snapshot(context)
        volume = choice.locate(context, cloud_objects.fetch(context, Volumes(context.clients), context.resource.id))
        backend, reason = choice.choose(context, self.plugin.rules, volume)
        if backend is None:
            raise errors.CannotOpen(f"volume {volume.id}: {reason}")
        with backend.open_reader(context, volume, snapshot_id, self.plugin) as reader:
            context.report.step("storing the bytes")
            writer = bases.Writer(context, reader, backend.map_name, self.plugin.conf.full_every)
            return backend, writer.write(), reader.mark()

    def _mark(
        self, context: HookContext, backend: Backend, written: bases.Written, content: Mapping[str, Any] | None
    ) -> None:
        """Store the document of the mark, if there is something to remember, and delete the snapshots that it replaced."""
        snapshot = next(
            ({"id": e.cloud_id, "operation": context.operation_id} for e in context.journal.entries() if _is_kept(e)),
            None,
        )
        newest = next(filter(None, map(kept.find, context.bases)), {})
        replaced = kept.snapshots_of({"snapshot": newest.get("snapshot")})
        remaining = kept.remove(context, kept.snapshots_of({"replaced": newest.get("replaced")}))
        replaced += [described for described, _ in remaining]
        if not (snapshot or replaced or written.distrusted):
            return
        members = {
            "snapshot": snapshot,
            "replaced": replaced,
            "content": dict(content) if content and snapshot and not written.distrusted else None,
            "chain": list(written.chain),
            "map": backend.map_name,
            "distrusted": written.distrusted,
        }
        context.section.put(kept.MARK, members)

    def _release(self, context: HookContext, *, everything: bool) -> list[str]:
        remarks = cleanup.release(context, self._created(context))
        if everything and any(_is_kept(entry) for entry in context.journal.entries()):
            cleanup.remove(context, Snapshots(context.clients), SNAPSHOT)
        return remarks

    def _created(self, context: HookContext) -> Mapping[str, CloudObjects]:
        """Return the types of the objects that a protect creates, by role."""
        return {**volume_glance.temporary(context), **self._of_backends(context)}

    def _of_backends(self, context: HookContext) -> Mapping[str, CloudObjects]:
        created: dict[str, CloudObjects] = {}
        for rule in self.plugin.rules:
            created |= rule.backend.temporary(context)
        return created


def _is_kept(entry: Any) -> bool:
    return bool(entry.role == SNAPSHOT and entry.keep and entry.cloud_id)
