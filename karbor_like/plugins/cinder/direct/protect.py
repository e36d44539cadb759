"""The protect of ``volume-direct``: snapshot, extents, bank, clean-up."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from karbor_like import exception
from karbor_like.datapath import errors
from karbor_like.datapath.contract import VolumeReader
from karbor_like.plugins.cinder import kept, metadata, source, volume_glance
from karbor_like.plugins.cinder.direct import bases, choice, route
from karbor_like.plugins.cinder.direct.backend import Backend
from karbor_like.plugins.cinder.direct.marks import STORAGE_MARK
from karbor_like.plugins.cinder.direct.plugin import DirectPlugin
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.cinder.volume_data import require_unencrypted
from karbor_like.plugins.glance import data, integrity
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents
from karbor_like.plugins.toolkit.source import SNAPSHOT

LOG = logging.getLogger(__name__)

#: The keeper of each object that may be kept, by its role.
_KEEPERS: Final = {SNAPSHOT: kept.CINDER, STORAGE_MARK: kept.RBD}


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
        if chosen.get("keeps") == kept.RBD:
            try:
                self._make_mark(context)
                return
            except (errors.CannotOpen, errors.TargetFailed) as error:
                LOG.warning("%s: no mark is kept: %s", context.resource.key, error)
                chosen = route.direct(chosen["kind"], keeps=None, reason=exception.public_text(error))
                documents.put(context, {"volume": metadata.describe(volume), route.ROUTE: chosen})
        # What remains of a mark that could not be made, now or by an earlier attempt, would be read instead of the snapshot.
        cleanup.remove(context, self.plugin.storage_marks(context), STORAGE_MARK)
        source.take_snapshot(context, volume, keep=chosen.get("keeps") == kept.CINDER)

    def main(self, context: HookContext) -> dict[str, Any]:
        document = documents.get(context)
        if not route.is_glance(document):
            try:
                return self._directly(context, document)
            except errors.CannotOpen as error:
                if "image" in document:
                    raise
                document = {**document, route.ROUTE: self.plugin.fall_back(context, error)}
                documents.put(context, document)
                for role, objects in reversed([*self._of_backends(context).items()]):
                    cleanup.remove(context, objects, role)
        if not any(entry.role == SNAPSHOT for entry in context.journal.entries()) and "image" not in document:
            source.take_snapshot(context, self._volume(context))
        # A snapshot or mark that was to be kept is of no use to the next protect.
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
            return self.plugin.fall_back(context, errors.CannotOpen(reason))
        return route.direct(backend.kind, keeps=self._keeper(context, backend))

    def _keeper(self, context: HookContext, backend: Backend) -> str | None:
        keeper = self.plugin.conf.keep_mark
        if keeper == "none" or not backend.tells_changes or bases.is_distrusted(context, backend.map_name):
            return None
        # A snapshot of all volumes of the server, taken together, is what has to be read.
        if keeper == kept.RBD and (not backend.keeps_marks or source.find_of_server(context)):
            return None
        return str(keeper)

    def _make_mark(self, context: HookContext) -> None:
        context.report.step("making a mark in the storage")
        marks = self.plugin.storage_marks(context)
        cloud_objects.ensure(context, marks, STORAGE_MARK, lambda name, markers: marks.create(name), keep=True)

    def _directly(self, context: HookContext, document: Mapping[str, Any]) -> dict[str, Any]:
        # Otherwise an earlier attempt stored everything, and died while it deleted what is temporary.
        if "image" not in document:
            self._store(context, document)
        remarks = [*route.remarks(document), *(kept.find(context.section) or {}).get("remarks", ())]
        data.report_sizes(context, context.section.stats(data.DATA))
        context.report.step("deleting what is temporary")
        return {"remarks": [*remarks, *self.release(context)]}

    def _store(self, context: HookContext, document: Mapping[str, Any]) -> None:
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

    def _read(self, context: HookContext) -> tuple[Backend, bases.Written, Mapping[str, Any] | None]:
        """Return the backend, what was written, and the mark of the reader."""
        context.report.step("opening the snapshot")
        backend, reader = self._open(context)
        with reader as opened:
            context.report.step("storing the bytes")
            writer = bases.Writer(context, opened, backend.map_name, self.plugin.conf.full_every)
            return backend, writer.write(), opened.mark()

    def _open(self, context: HookContext) -> tuple[Backend, AbstractContextManager[VolumeReader]]:
        # The size is that of the snapshot: the volume may have grown since.
        size = documents.get(context)["volume"]["size"]
        volume = replace(choice.locate(context, self._volume(context)), size=size)
        backend, reason = choice.choose(context, self.plugin.rules, volume)
        if backend is None:
            raise errors.CannotOpen(f"volume {volume.id}: {reason}")
        mark = next((entry for entry in context.journal.entries() if entry.role == STORAGE_MARK), None)
        if mark is not None:
            return backend, backend.open_mark(volume, str(mark.cloud_id))
        return backend, backend.open_reader(context, volume, source.find_snapshot(context), self.plugin)

    @staticmethod
    def _volume(context: HookContext) -> Any:
        """Return the volume as the tenant's own token shows it."""
        return cloud_objects.fetch(context, Volumes(context.clients), context.resource.id)

    def _mark(
        self, context: HookContext, backend: Backend, written: bases.Written, content: Mapping[str, Any] | None
    ) -> None:
        """Store the document of the mark, if there is something to remember, and delete the snapshots that it replaced."""
        snapshot = next(
            (
                {"id": entry.cloud_id, "operation": context.operation_id, "keeper": _KEEPERS[entry.role]}
                for entry in context.journal.entries()
                if _is_kept(entry)
            ),
            None,
        )
        newest = next(filter(None, map(kept.find, context.bases)), {})
        replaced = kept.snapshots_of({"snapshot": newest.get("snapshot")})
        marks = self.plugin.storage_marks(context)
        older = kept.snapshots_of({"replaced": newest.get("replaced")})
        remaining = kept.remove(context, older, marks)
        replaced += [described for described, _ in remaining]
        if snapshot and len(remaining) < len(older):
            content = self._mark_now(context)
        if not (snapshot or replaced or written.distrusted):
            return
        members = {
            "snapshot": snapshot,
            "replaced": replaced,
            "content": dict(content) if content and snapshot and not written.distrusted else None,
            "chain": list(written.chain),
            "map": backend.map_name,
            "distrusted": written.distrusted,
            "remarks": list(written.remarks),
        }
        context.section.put(kept.MARK, members)

    def _mark_now(self, context: HookContext) -> Mapping[str, Any] | None:
        """Return the mark of the snapshot after the deletion of others, which merges files of remote file systems."""
        try:
            _, reader = self._open(context)
            with reader as opened:
                return opened.mark()
        except exception.ResourceFailed as error:
            LOG.warning("%s: the snapshot is not used as a mark: %s", context.resource.key, error)
            return None

    def _release(self, context: HookContext, *, everything: bool) -> list[str]:
        remarks = cleanup.release(context, self._created(context))
        for entry in context.journal.entries() if everything else ():
            if _is_kept(entry):
                cleanup.remove(context, self._created(context)[entry.role], entry.role)
        return remarks

    def _created(self, context: HookContext) -> Mapping[str, CloudObjects]:
        """Return the types of the objects that a protect creates, by role."""
        marks = {STORAGE_MARK: self.plugin.storage_marks(context)}
        return {**volume_glance.temporary(context), **marks, **self._of_backends(context)}

    def _of_backends(self, context: HookContext) -> Mapping[str, CloudObjects]:
        created: dict[str, CloudObjects] = {}
        for rule in self.plugin.rules:
            created |= rule.backend.temporary(context)
        return created


def _is_kept(entry: Any) -> bool:
    return bool(entry.role in _KEEPERS and entry.keep and entry.cloud_id)
