"""Which earlier checkpoint an incremental protect builds on, and how its result is checked from time to time.

The newest base is used whose mark the reader understands and whose manifest is readable. Otherwise everything that is
allocated is read and compared with the bases by position, which costs time and nothing else. That is never an error.

A map that leaves out a change would lose it silently, in this checkpoint and in all that build on it. Therefore, after some
incremental protects in a row, one is written twice: by the map, and by reading every byte. The digests of two streams with
the same content are equal.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import ResourceSection, StreamStats, errors
from karbor_like.datapath.contract import Extent, VolumeReader
from karbor_like.datapath.errors import SourceGone
from karbor_like.plugins.cinder import kept
from karbor_like.plugins.cinder.direct.transfer import Source
from karbor_like.plugins.glance.data import DATA
from karbor_like.plugins.protection import HookContext

LOG = logging.getLogger(__name__)

#: The longest chain that a document may state.
_LONGEST: Final = 10_000


class MarkGone(exception.ResourceFailed):
    """The mark was deleted while it was used."""


@dataclass(frozen=True)
class Base:
    """An earlier checkpoint, and what has changed since.

    :param chain: ids of the checkpoints since the last one that was read completely, that one first
    """

    section: ResourceSection
    mark: Mapping[str, Any]
    changed: Iterable[Extent]
    chain: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """The result of a protect.

    :param base: the checkpoint that it builds on, or None
    :param chain: as :attr:`Base.chain`, with this checkpoint
    :param distrusted: whether the map was found to be wrong, now or before
    """

    stats: StreamStats
    chain: tuple[str, ...]
    distrusted: bool
    remarks: tuple[str, ...] = ()


def is_distrusted(context: HookContext, map_name: str) -> bool:
    """Return whether a base says that maps of this kind were wrong."""
    found = filter(None, map(kept.find, context.bases))
    return any(each.get("distrusted") is True and each.get("map") == map_name for each in found)


class Writer:
    """Writes the stream of one checkpoint.

    :param map_name: the kind of map that the reader has
    :param full_every: incremental protects in a row, after which one is compared; 0: never
    """

    def __init__(self, context: HookContext, reader: VolumeReader, map_name: str, full_every: int) -> None:
        self._context = context
        self._reader = reader
        self._map_name = map_name
        self._full_every = full_every

    def write(self) -> Written:
        """Store all bytes, and read as few as possible of them. Raises what readers, the bank and ``check`` raise."""
        distrusted = is_distrusted(self._context, self._map_name)
        base = None if distrusted else self._find()
        if base is None:
            return self._in_full(distrusted)
        try:
            stats = self._store(base)
        except (MarkGone, SourceGone) as error:
            self._reader.confirm()  # it raises if the snapshot that is read was deleted
            LOG.warning("%s: all that is allocated is read: %s", self._context.resource.key, error)
            return self._in_full(distrusted)
        if self._full_every and len(base.chain) > self._full_every:
            return self._compare(base, stats)
        return Written(stats, (*base.chain, self._context.checkpoint_id), distrusted=False)

    def _in_full(self, distrusted: bool) -> Written:
        return Written(self._store(), (self._context.checkpoint_id,), distrusted)

    def _compare(self, base: Base, by_map: StreamStats) -> Written:
        """Read everything, which replaces what was written by the map, and compare."""
        self._context.report.step("reading everything, to check the map of changes")
        stats = self._store(whole=True)
        if stats.digest == by_map.digest:
            return Written(stats, (self._context.checkpoint_id,), distrusted=False)
        since, *suspects = base.chain
        LOG.error(
            "%s: the map of changes (%s) left out changes since checkpoint %s, which was read completely; these checkpoints"
            " may lack some: %s. Checkpoint %s has everything; the map is not used any more",
            self._context.resource.key,
            self._map_name,
            since,
            ", ".join(suspects) or "none",
            self._context.checkpoint_id,
        )
        named = f": {', '.join(suspects)}" if suspects else " yet"
        remark = (
            f"the storage's map of changes ({self._map_name}) was wrong. This checkpoint is complete, because everything was"
            f" read. Checkpoint {since} was read completely, too; those since then may lack changes{named}"
        )
        return Written(stats, (self._context.checkpoint_id,), distrusted=True, remarks=(remark,))

    def _find(self) -> Base | None:
        for section in self._context.bases:
            document = kept.find(section)
            chain = _chain(document)
            content = document.get("content") if document else None
            if document is None or not chain or not isinstance(content, Mapping):
                continue
            if not self._is_there(document) or not _is_readable(section):
                continue
            changed = self._reader.changed(content)
            if changed is not None:
                return Base(section, document, changed, chain)
        return None

    def _is_there(self, document: Mapping[str, Any]) -> bool:
        """Return whether the snapshot that keeps the mark is there. A mark that nothing keeps is the reader's affair."""
        if document.get("snapshot") is None:
            return True
        described = kept.snapshots_of({"snapshot": document["snapshot"]})
        return bool(described) and kept.is_there(self._context, described[0])

    def _store(self, base: Base | None = None, *, whole: bool = False) -> StreamStats:
        context, size = self._context, self._reader.size

        def confirm() -> None:
            # If it was deleted while it was compared with, the storage may have answered anything.
            if base is not None and not self._is_there(base.mark):
                raise MarkGone("the snapshot of the last protect was deleted meanwhile")

        context.report.progress(0, size)
        return context.section.write_extents(
            DATA,
            Source(context, self._reader, confirm, whole=whole),
            base=base.section if base else None,
            changed=base.changed if base else None,
            bases=context.bases,
            progress=lambda done: context.report.progress(done, size),
            check=context.check,
        )


def _chain(document: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the chain in a document, or an empty one if it has another form."""
    found = document.get("chain") if document else None
    if not isinstance(found, list) or len(found) > _LONGEST or not all(isinstance(each, str) for each in found):
        return ()
    return tuple(found)


def _is_readable(section: ResourceSection) -> bool:
    try:
        section.stats(DATA)
    except errors.ObjectNotFound:
        return False
    except errors.UNREADABLE as error:
        LOG.warning("A base is not used: %s", error)
        return False
    return True
