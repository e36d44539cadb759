"""The mark phase of garbage collection: finds the packs in use and the states of the checkpoints.

Every pack that a manifest names is in use, whether its checkpoint is committed, unfinished, failed or half deleted. Only the
tables of segments are read, one checkpoint at a time. So memory grows with the packs in use, not with blocks.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np

from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.events import DELETED, UNFINISHED
from karbor_like.bank.collector.pack_map import PackTable
from karbor_like.bank.format import jsonobject, manifest, seal
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

LOG = logging.getLogger(__name__)

#: In place of a project: the project of a manifest is unknown.
ANY_PROJECT: Final = ""


@dataclass
class CheckpointState:
    """The state of one checkpoint.

    :param project_id: None if no object of it names its project
    :param planned: whether it has a ``plan.json``
    :param status: from the tombstone or the names of its events; None if it has neither
    :param empty: whether only a tombstone is left
    :param touched: when the store received the newest of its objects
    :param superseded: keys of versions that may not be the valid ones: see :func:`_find_doubtful`
    """

    id: str
    project_id: str | None
    planned: bool
    status: str | None
    empty: bool
    touched: datetime
    superseded: Sequence[str] = ()

    @property
    def is_unfinished(self) -> bool:
        """Whether it was neither committed nor given up."""
        return self.status is None or self.status in UNFINISHED


@dataclass
class StreamTotals:
    """Totals of the streams of one project.

    :param logical: bytes of the streams
    :param new: bytes of them that had to be stored when they were written
    """

    manifests: int = 0
    logical: int = 0
    new: int = 0


@dataclass
class Survey:
    """The result of the mark phase.

    :param used: pack id -> the most bytes of it that a single manifest refers to
    :param streams: totals by project
    :param unreadable: project -> why not all of its manifests could be read; ANY_PROJECT if their project is unknown
    """

    used: PackTable = field(default_factory=lambda: PackTable(np.maximum))
    checkpoints: dict[str, CheckpointState] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    streams: dict[str, StreamTotals] = field(default_factory=dict)

    def obstacle(self, project_id: str) -> str | None:
        """Return why nothing of a project may be deleted; None if it may."""
        return self.unreadable.get(project_id) or self.unreadable.get(ANY_PROJECT)

    def may_have_checkpoints(self, project_id: str) -> bool:
        """Whether objects of a checkpoint may belong to the project."""
        return any(state.project_id in (project_id, None) for state in self.checkpoints.values())


class Marker:
    """Reads all checkpoints once.

    :param progress: called with the number of checkpoints done so far
    """

    def __init__(
        self, store: ObjectStore, resolve_key: manifest.KeyResolver, progress: Callable[[int], None] | None = None
    ) -> None:
        self._store = store
        self._resolve_key = resolve_key
        self._progress = progress
        self._survey = Survey()

    def walk(self) -> Survey:
        """Mark the packs of all manifests."""
        objects = listing.parsed(self._store, layout.CHECKPOINTS, layout.parse_owner)
        groups = itertools.groupby(objects, lambda item: item[1])
        for done, (checkpoint_id, group) in enumerate(groups, 1):
            self._mark(checkpoint_id, [info for info, _ in group])
            if self._progress:
                self._progress(done)
        return self._survey

    def _mark(self, checkpoint_id: str, infos: Sequence[ObjectInfo]) -> None:
        project_id, planned = self._read_plan(checkpoint_id)
        heads: dict[str, manifest.Head] = {}
        problem = None
        for info in infos:
            if layout.kind_of(info.key) != "manifests":
                continue
            try:
                head = self._mark_manifest(info.key)
            except errors.UNREADABLE as error:
                problem = str(error)
                project_id = project_id or self._read_sealing_project(info.key)
                continue
            if head is not None:
                heads[info.key] = head
                project_id = project_id or head.project_id
        if problem:
            LOG.warning("A manifest cannot be read, so nothing of its project will be collected: %s", problem)
            self._survey.unreadable.setdefault(project_id or ANY_PROJECT, problem)
        tombstone = layout.tombstone_key(checkpoint_id)
        status = DELETED if any(info.key == tombstone for info in infos) else _find_status(infos)
        empty = all(info.key == tombstone for info in infos)
        touched = max(info.modified for info in infos)
        superseded = () if problem else _find_doubtful(infos, heads)
        state = CheckpointState(checkpoint_id, project_id, planned, status, empty, touched, superseded)
        self._survey.checkpoints[checkpoint_id] = state

    def _mark_manifest(self, key: str) -> manifest.Head | None:
        """Mark the packs of one manifest. Returns None if it was deleted since it was listed."""
        try:
            head = manifest.read_head(self._store, key, self._resolve_key)
        except errors.ObjectNotFound:
            return None
        used = PackTable(np.add)
        try:
            for use in manifest.pack_uses(self._store, head, self._resolve_key):
                used.add(bytes.fromhex(use.pack), use.live)
        except errors.Corrupted:
            # A deletion removes the head first. If the head was deleted, the segment may be missing.
            if self._store.exists(key):
                raise
            return None
        self._survey.used.add_all(used)
        streams = self._survey.streams.setdefault(head.project_id, StreamTotals())
        streams.manifests += 1
        streams.logical += head.size
        streams.new += head.new
        return head

    def _read_plan(self, checkpoint_id: str) -> tuple[str | None, bool]:
        """Return the project that ``plan.json`` names, if it can be read, and whether there is a ``plan.json``."""
        key = layout.plan_key(checkpoint_id)
        try:
            raw = self._store.get(key)
        except errors.ObjectNotFound:
            return None, False
        try:
            project_id = jsonobject.load(key, seal.unseal(key, raw, self._resolve_key)).get("project_id")
            return (project_id if isinstance(project_id, str) else None), True
        except errors.UNREADABLE as error:
            LOG.warning("%s", error)
            return self._read_sealing_project(key), True

    def _read_sealing_project(self, key: str) -> str | None:
        """Return the project whose key encrypts an object, according to its header: enough to skip that project."""
        try:
            project, slash, _ = seal.read_header(key, self._store.get(key, 0, 4096)).seal_id.partition("/")
            return layout.unquote(project) if slash else None
        except (errors.ObjectNotFound, errors.Corrupted, errors.UnsupportedVersion, errors.InvalidKey):
            return None


def _find_status(infos: Iterable[ObjectInfo]) -> str | None:
    names = []
    for info in infos:
        try:
            names.append(layout.parse_event_key(info.key)[1])
        except errors.InvalidKey:
            continue
    return names[-1] if names else None


def _find_doubtful(infos: Sequence[ObjectInfo], heads: Mapping[str, manifest.Head]) -> Sequence[str]:
    """Return the keys of all versions of names that have several, and of segments without a head.

    Only the commit event tells which version is valid.
    """
    attempts: dict[str, list[str]] = {}
    doubtful = []
    owned = {head.attempt for head in heads.values()}
    for info in infos:
        kind = layout.kind_of(info.key)
        if kind == "segments":
            if layout.parse_resource_key(info.key).rest.split("/")[0] not in owned:
                doubtful.append(info.key)
        elif kind is not None:
            attempts.setdefault(layout.name_prefix(info.key), []).append(info.key)
    return doubtful + [key for keys in attempts.values() if len(keys) > 1 for key in keys]
