"""The index of a bank: empty objects whose keys tell which checkpoints exist, so that they are found without a database.

A page in either order, from any date on, is one listing.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.events import micros
from karbor_like.bank.checkpoints.plans import CheckpointRecord, Plans
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

_PAGE: Final = 1000


@dataclass(frozen=True)
class IndexEntry:
    """What the index tells about a checkpoint."""

    id: str
    project_id: str
    provider_id: str
    plan_id: str
    created_at: datetime

    @classmethod
    def of(cls, record: CheckpointRecord) -> Self:
        """Return the entry of a checkpoint."""
        return cls(record.id, record.project_id, record.provider_id, str(record.plan["id"]), record.created_at)

    @classmethod
    def parse(cls, name: layout.IndexName) -> Self:
        """Return the entry that an index key names."""
        created = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=name.micros)
        return cls(name.checkpoint_id, name.project_id, name.provider_id, name.plan_id, created)

    @property
    def name(self) -> layout.IndexName:
        """The name of the entry in index keys."""
        return layout.IndexName(micros(self.created_at), self.provider_id, self.project_id, self.plan_id, self.id)


class Index:
    """The index of one bank."""

    def __init__(self, store: ObjectStore, plans: Plans) -> None:
        self._store = store
        self._plans = plans

    def put(self, record: CheckpointRecord) -> None:
        """Put the index keys of a checkpoint. Idempotent."""
        concurrently.each(lambda key: self._store.put(key, b""), layout.index_keys(IndexEntry.of(record).name))

    def remove(self, record: CheckpointRecord) -> None:
        """Delete the index keys of a checkpoint. Idempotent."""
        concurrently.each(self._remove, layout.index_keys(IndexEntry.of(record).name))

    def _remove(self, key: str) -> None:
        with contextlib.suppress(errors.ObjectNotFound):
            self._store.delete(key)

    def list(
        self,
        *,
        provider_id: str | None = None,
        plan_id: str | None = None,
        project_id: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        marker: IndexEntry | str | None = None,
        limit: int = _PAGE,
        newest_first: bool = True,
    ) -> Sequence[IndexEntry]:
        """Return one page of the checkpoints that match all filters, in order of creation.

        Costs one listing of the store if at most one of provider, project and plan is given. With more of them, one of
        their indices is listed and filtered, page by page.

        :param start_date: earliest time of creation, timezone-aware
        :param end_date: latest time of creation, timezone-aware
        :param marker: the last entry of the previous page. With an id instead, the checkpoint is read first
        :param limit: the most entries to return; fewer mean that there are no more
        :raises CheckpointNotFound: *marker* is an id without a checkpoint
        """
        order = layout.NEWEST if newest_first else layout.OLDEST
        if plan_id is not None:
            prefix = layout.index_prefix("by-plan", plan_id, order)
        elif project_id is not None:
            prefix = layout.index_prefix("by-project", project_id, order)
        elif provider_id is not None:
            prefix = layout.index_prefix("by-provider", provider_id, order)
        else:
            prefix = layout.index_prefix("by-date", None, order)
        first, last = (end_date, start_date) if newest_first else (start_date, end_date)
        after = layout.index_marker(prefix, order, micros(first)) if first else ""
        if marker is not None:
            entry = IndexEntry.of(self._plans.get(marker)[0]) if isinstance(marker, str) else marker
            after = max(after, layout.index_key(prefix, order, entry.name))
        page: list[IndexEntry] = []
        for _, name in listing.parsed(self._store, prefix, layout.parse_index_key, after, limit):
            entry = IndexEntry.parse(name)
            if last and (entry.created_at < last if newest_first else entry.created_at > last):
                break
            if (plan_id, project_id, provider_id) == (
                plan_id and entry.plan_id,
                project_id and entry.project_id,
                provider_id and entry.provider_id,
            ):
                page.append(entry)
            if len(page) == limit:
                break
        return page

    def rebuild(self) -> int:
        """Put the index keys that are missing. Checkpoints that cannot be read are skipped with a warning.

        :returns: how many checkpoints had missing keys
        """
        names = Counter(name for _, name in listing.parsed(self._store, layout.INDICES, layout.parse_index_key))
        complete = {name.checkpoint_id for name, count in names.items() if count == len(layout.index_keys(name))}
        repaired = 0
        for checkpoint_id in listing.segments(self._store, layout.CHECKPOINTS):
            if checkpoint_id in complete or self._store.exists(layout.tombstone_key(checkpoint_id)):
                continue
            try:
                self.put(self._plans.get(checkpoint_id)[0])
                repaired += 1
            except (exception.CheckpointNotFound, errors.InvalidKey, *errors.UNREADABLE) as error:
                LOG.warning("Checkpoint %s is not indexed: %s", checkpoint_id, error)
        return repaired
