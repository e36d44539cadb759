"""The first half of a collection: which packs are in use, and what state the checkpoints are in.

Everything that a manifest names is in use, whether its checkpoint is committed, in the making, failed or half deleted. Only
the tables of segments are read, and a checkpoint at a time, so memory grows with the packs in use, not with blocks.
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

#: In place of a project: it could not be found out whose a manifest is.
ANY_PROJECT: Final = ""


@dataclass
class CheckpointState:
    """What a collection knows of one checkpoint.

    :param project_id: None where nothing in it says
    :param planned: whether it has a ``plan.json``
    :param status: as the tombstone or the names of its events say; None where there are none
    :param empty: whether nothing but a tombstone is left
    :param touched: when the store received the newest of its objects
    :param superseded: keys of attempts that may be others than the valid ones: see :func:`_doubtful`
    """

    id: str
    project_id: str | None
    planned: bool
    status: str | None
    empty: bool
    touched: datetime
    superseded: Sequence[str] = ()

    @property
    def unfinished(self) -> bool:
        return self.status is None or self.status in UNFINISHED


@dataclass
class StreamTotals:
    """What the manifests of one project say in all.

    :param logical: bytes of their streams
    :param new: bytes of those that had to be stored when they were written
    """

    manifests: int = 0
    logical: int = 0
    new: int = 0


@dataclass
class Survey:
    """What the marking found.

    :param used: pack id -> the most bytes of it that any one manifest refers to
    :param streams: by project
    :param unreadable: project -> why its manifests could not all be read; ANY_PROJECT where it is not known whose they are
    """

    used: PackTable = field(default_factory=lambda: PackTable(np.maximum))
    checkpoints: dict[str, CheckpointState] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    streams: dict[str, StreamTotals] = field(default_factory=dict)

    def why_not(self, project_id: str) -> str | None:
        """Why nothing of a project may be deleted; None where it may."""
        return self.unreadable.get(project_id) or self.unreadable.get(ANY_PROJECT)

    def may_have_checkpoints(self, project_id: str) -> bool:
        """Whether something of a checkpoint may be the project's."""
        return any(state.project_id in (project_id, None) for state in self.checkpoints.values())


class Marker:
    """Walks through all checkpoints once.

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
        """Mark everything."""
        objects = listing.parsed(self._store, layout.CHECKPOINTS, layout.parse_owner)
        groups = itertools.groupby(objects, lambda item: item[1])
        for done, (checkpoint_id, group) in enumerate(groups, 1):
            self._mark(checkpoint_id, [info for info, _ in group])
            if self._progress:
                self._progress(done)
        return self._survey

    def _mark(self, checkpoint_id: str, infos: Sequence[ObjectInfo]) -> None:
        project_id, planned = self._plan(checkpoint_id)
        heads: dict[str, manifest.Head] = {}
        problem = None
        for info in infos:
            if layout.kind_of(info.key) != "manifests":
                continue
            try:
                head = self._manifest(info.key)
            except errors.UNREADABLE as error:
                problem = str(error)
                project_id = project_id or self._project_of_seal(info.key)
                continue
            if head is not None:
                heads[info.key] = head
                project_id = project_id or head.project_id
        if problem:
            LOG.warning("a manifest cannot be read, so nothing of its project will be collected: %s", problem)
            self._survey.unreadable.setdefault(project_id or ANY_PROJECT, problem)
        tombstone = layout.tombstone_key(checkpoint_id)
        status = DELETED if any(info.key == tombstone for info in infos) else _status(infos)
        empty = all(info.key == tombstone for info in infos)
        touched = max(info.modified for info in infos)
        superseded = () if problem else _doubtful(infos, heads)
        state = CheckpointState(checkpoint_id, project_id, planned, status, empty, touched, superseded)
        self._survey.checkpoints[checkpoint_id] = state

    def _manifest(self, key: str) -> manifest.Head | None:
        """Mark what one manifest needs. None where it was deleted since it was listed."""
        try:
            head = manifest.read_head(self._store, key, self._resolve_key)
        except errors.ObjectNotFound:
            return None
        used = PackTable(np.add)
        try:
            for use in manifest.pack_uses(self._store, head, self._resolve_key):
                used.add(bytes.fromhex(use.pack), use.live)
        except errors.Corrupted:
            # A deletion removes the head first: where that is gone, the segment is not missed.
            if self._store.exists(key):
                raise
            return None
        self._survey.used.add_all(used)
        streams = self._survey.streams.setdefault(head.project_id, StreamTotals())
        streams.manifests += 1
        streams.logical += head.size
        streams.new += head.new
        return head

    def _plan(self, checkpoint_id: str) -> tuple[str | None, bool]:
        """The project that ``plan.json`` names, as far as it can be read, and whether there is a ``plan.json``."""
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
            return self._project_of_seal(key), True

    def _project_of_seal(self, key: str) -> str | None:
        """Whose key something is encrypted with, as it says itself: enough to leave that project alone."""
        try:
            project, slash, _ = seal.read_header(key, self._store.get(key, 0, 4096)).seal_id.partition("/")
            return layout.unquote(project) if slash else None
        except (errors.ObjectNotFound, errors.Corrupted, errors.UnsupportedVersion, errors.InvalidKey):
            return None


def _status(infos: Iterable[ObjectInfo]) -> str | None:
    names = []
    for info in infos:
        try:
            names.append(layout.parse_event_key(info.key)[1])
        except errors.InvalidKey:
            continue
    return names[-1] if names else None


def _doubtful(infos: Sequence[ObjectInfo], heads: Mapping[str, manifest.Head]) -> Sequence[str]:
    """Keys of all attempts at names of which there is more than one, and of segments that no head owns.

    Which of the attempts is the valid one is for the commit event to say.
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
