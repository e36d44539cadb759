"""The database's index of checkpoints, brought up to what a bank holds: other sites write there too.

The bank is the truth. What an operation of this site is working on is left alone: its end sets the row.

But a bank that is not there (a file system that is not mounted, the wrong container) looks like one from which all was
deleted. A deletion leaves a tombstone for a while; where most of what is missing has none, nothing is believed.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.bank import Bank, CheckpointRecord, IndexEntry, errors
from karbor_like.db import checkpoints, operations
from karbor_like.db import session as db_session
from karbor_like.db.models import Checkpoint
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

_PAGE = 500

#: States of rows whose checkpoint is asked for although a listing shows it: only an operation ends these states, and what was
#: deleted is not listed, unless it was not seen for a while and was taken for deleted.
_ASKED = frozenset({states.PROTECTING, states.DELETING, states.COPYING, states.WAIT_COPYING, states.DELETED})

#: A row that is younger than a listing may lag is not missing from it.
_YOUNG = timedelta(hours=2)

#: A deletion that began so long ago has failed: whoever did it is gone, and it may be deleted here.
_STALLED = timedelta(days=1)


@dataclass
class SyncReport:
    """How many rows were changed, and what could not be read."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    unreadable: int = 0


class Sync:
    """One run for one provider. May run at any time, beside operations and beside others like it.

    :param force: believe the bank also where most of it is missing
    """

    def __init__(self, database: Database, provider: Provider, *, force: bool = False) -> None:
        self._database = database
        self._provider = provider
        self._force = force
        self._report = SyncReport()

    def run(self) -> SyncReport:
        """Raises what the bank raises where it cannot be listed, and Unavailable where most of it is missing."""
        bank = self._provider.bank
        with self._database.reader() as session:
            began = db_session.now(session)
        seen = set()
        for entry in self._entries(bank):
            seen.add(entry.id)
            row = self._find(entry.id)
            if row is None or (row.status in _ASKED and not self._is_busy(entry.id)):
                self._follow(bank, entry.id, row)
        for row in self._missing(bank, seen, began):
            self._follow(bank, row.id, row)
        return self._report

    def _entries(self, bank: Bank) -> Iterator[IndexEntry]:
        marker: IndexEntry | None = None
        while True:
            page = bank.checkpoints.list(provider_id=self._provider.id, marker=marker, limit=_PAGE, newest_first=False)
            yield from page
            if len(page) < _PAGE:
                return
            marker = page[-1]

    def _missing(self, bank: Bank, seen: Set[str], began: datetime) -> list[Checkpoint]:
        """Rows of which the bank's listing showed nothing. Raises Unavailable where that cannot be believed."""
        expected, found = 0, []
        with self._database.reader() as session:
            marker = None
            while page := checkpoints.page(
                session, self._provider.id, sort=(("created_at", "asc"),), marker=marker, limit=_PAGE
            ):
                old = [row for row in page if row.created_at < began - _YOUNG]
                # One that failed may never have come as far as the bank.
                expected += sum(row.status != states.ERROR for row in old)
                found += [row for row in old if row.id not in seen]
                marker = page[-1].id
        missing = [row for row in found if not self._is_busy(row.id)]
        self._check_there(bank, expected, [row.id for row in missing if row.status != states.ERROR])
        return missing

    def _check_there(self, bank: Bank, expected: int, missing: Sequence[str]) -> None:
        """Raises Unavailable where more than half of the checkpoints are gone and were not deleted for all one knows."""
        if self._force or 2 * len(missing) <= expected:
            return
        lost = sum(not bank.checkpoints.has_trace(checkpoint_id) for checkpoint_id in missing)
        if 2 * lost > expected:
            raise exception.Unavailable(
                f"the bank of provider {self._provider.name} has no trace of {lost} of the {expected} checkpoints that it"
                " should have: is it mounted, is the container right? Nothing was marked as deleted; if they really are,"
                " say so with 'karbor-like-manage bank reindex --force'"
            )

    def _find(self, checkpoint_id: str) -> Checkpoint | None:
        with self._database.reader() as session:
            return checkpoints.CHECKPOINTS.find(session, checkpoint_id)

    def _is_busy(self, checkpoint_id: str) -> bool:
        with self._database.reader() as session:
            return bool(operations.using(session, checkpoint_id))

    def _follow(self, bank: Bank, checkpoint_id: str, row: Checkpoint | None) -> None:
        try:
            record = self._give_up(bank.checkpoints.get(checkpoint_id))
            Graph.from_text(record.resource_graph)
        except exception.CheckpointNotFound:
            if row is not None and row.status not in (states.ERROR, states.DELETED):
                self._set(row, states.DELETED, reason="deleted at another site")
            return
        except (errors.BankError, exception.InvalidInput) as error:
            LOG.warning("checkpoint %s in the bank of %s cannot be read: %s", checkpoint_id, self._provider.name, error)
            self._report.unreadable += 1
            return
        if row is None:
            self._add(record)
        elif row.status != record.status:
            back = row.status == states.DELETED
            reason = "it is in the bank again" if back else "changed at another site"
            self._set(row, record.status, reason=reason, deleted_at=None, **_results(record))

    def _give_up(self, record: CheckpointRecord) -> CheckpointRecord:
        """*record*; as one whose deletion failed where that has gone on for too long."""
        if record.status != states.DELETING:
            return record
        with self._database.reader() as session:
            stalled = record.events[-1].at < db_session.now(session) - _STALLED
        return dataclasses.replace(record, status=states.ERROR_DELETING) if stalled else record

    def _add(self, record: CheckpointRecord) -> None:
        if record.status == states.DELETED:
            return

        def write(session: orm.Session) -> None:
            if checkpoints.CHECKPOINTS.find(session, record.id) is not None:
                return
            checkpoints.CHECKPOINTS.insert(session, **_values(record))
            self._report.added += 1

        self._database.write(write)

    def _set(self, row: Checkpoint, status: str, **values: Any) -> None:
        """Change the row if it is still what it was and nothing has begun meanwhile."""

        def write(session: orm.Session) -> None:
            if operations.using(session, row.id):
                return
            if checkpoints.move(session, row.id, status, [row.status], **values):
                LOG.info("checkpoint %s was %s and is %s by now: %s", row.id, row.status, status, values["reason"])
                if status == states.DELETED:
                    self._report.deleted += 1
                else:
                    self._report.changed += 1

        self._database.write(write)


def _values(record: CheckpointRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "project_id": record.project_id,
        "provider_id": record.provider_id,
        "plan_id": str(record.plan["id"]),
        "status": record.status,
        "plan": record.plan,
        "resource_graph": record.resource_graph,
        "created_at": record.created_at,
        **_results(record),
    }


def _results(record: CheckpointRecord) -> dict[str, Any]:
    """What is known of it when it is complete: the commit says so; a status that was reset says no more."""
    commits = [event.detail for event in record.events if event.status == states.AVAILABLE]
    detail = {name: value for commit in commits for name, value in commit.items()}
    sizes = list((detail.get("sizes") or {}).values())
    return {
        "extra_info": {**record.extra_info, **(detail.get("extra_info") or {})},
        **{f"{name}_bytes": sum(size[name] or 0 for size in sizes) or None for name in ("logical", "new", "stored")},
    }
