"""Synchronization of the checkpoints in the database with a bank, which other sites write too.

The bank is the truth. A checkpoint that an operation of this site uses is skipped: the end of the operation sets its row.

An unreachable bank, such as a file system that is not mounted or a wrong container, looks like a bank whose checkpoints were
all deleted. A deletion leaves a tombstone for a while. If most missing checkpoints have none, the run fails and changes
nothing.

After a recovery of the control plane, operations have ended whose checkpoints are still in progress in the bank. A run ends
them there as well. Otherwise only the collector would, after days.

Every run gives all checkpoints to the projects that the operator's map says, so a change of the map applies to earlier ones.
"""

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oslo_utils import uuidutils
from sqlalchemy import orm

from karbor_like import exception, watchdog
from karbor_like.bank import Bank, CheckpointRecord, IndexEntry, errors
from karbor_like.db import checkpoints, operations, plans
from karbor_like.db import session as db_session
from karbor_like.db.models import Checkpoint
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.protection import bank_rows
from karbor_like.protection.operation import lifecycle
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

_PAGE = 500

#: Statuses of rows whose checkpoint is read even if the listing shows it. Only an operation ends the first four. A listed
#: checkpoint whose row says ``deleted`` was missing from an earlier listing.
_CHECKED = frozenset({states.PROTECTING, states.DELETING, states.COPYING, states.WAIT_COPYING, states.DELETED})

#: A listing may lag by this much, so a younger row is not treated as missing.
_YOUNG = timedelta(hours=2)

#: A deletion that began this long ago is treated as failed: its process died, and this site may delete the checkpoint.
_STALLED = timedelta(days=1)


@dataclass
class SyncReport:
    """Counts of changed rows, of rows that were given to other projects, and of unreadable checkpoints."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    moved: int = 0
    unreadable: int = 0


class Sync:
    """One run for one provider. It may run alongside operations and other runs.

    :param force: mark checkpoints as deleted even if most of them are missing without a tombstone
    """

    def __init__(self, database: Database, provider: Provider, *, force: bool = False) -> None:
        self._database = database
        self._provider = provider
        self._force = force
        self._report = SyncReport()
        self._project_map: Mapping[str, str] = {}

    def run(self) -> SyncReport:
        """Synchronize all checkpoints of the provider.

        :raises Unavailable: most checkpoints are missing
        :raises BankError: the bank cannot be listed
        """
        bank = self._provider.bank
        with self._database.reader() as session:
            began = db_session.now(session)
        self._map_projects()
        seen = set()
        for page in self._pages(bank):
            ids = self._valid(page)
            seen.update(ids)
            with self._database.reader() as session:
                known = checkpoints.statuses(session, ids)
            for checkpoint_id in ids:
                watchdog.tick()
                if known.get(checkpoint_id) in {None, *_CHECKED}:
                    row = self._find(checkpoint_id)
                    if row is None or (row.status in _CHECKED and not self._is_busy(checkpoint_id)):
                        self._follow(bank, checkpoint_id, row)
        missing = self._missing(bank, seen, began)
        for row, reason in self._left_unfinished():
            watchdog.tick()
            self._end(bank, row, reason, is_mounted=bool(seen))
        for checkpoint_id in missing:
            watchdog.tick()
            self._follow(bank, checkpoint_id, self._find(checkpoint_id))
        return self._report

    def _map_projects(self) -> None:
        wanted = self._provider.project_map
        with self._database.reader() as session:
            own = plans.projects_with_plans(session, wanted)
        for project_id in sorted(own):
            LOG.error(
                "Provider %s: map_project names %s as a project of another site, but it has plans here; its line is ignored",
                self._provider.name,
                project_id,
            )
        self._project_map = {there: here for there, here in wanted.items() if there not in own}
        while moved := self._database.write(
            lambda session: checkpoints.map_projects(session, self._provider.id, self._project_map)
        ):
            watchdog.tick()
            self._report.moved += moved

    def _pages(self, bank: Bank) -> Iterator[Sequence[IndexEntry]]:
        marker: IndexEntry | None = None
        while True:
            page = bank.checkpoints.index.list(
                provider_id=self._provider.id, marker=marker, limit=_PAGE, newest_first=False
            )
            yield page
            if len(page) < _PAGE:
                return
            marker = page[-1]

    def _valid(self, page: Sequence[IndexEntry]) -> list[str]:
        """Return the ids of the entries of a page. Those that are no UUIDs are left out."""
        ids = []
        for entry in page:
            if uuidutils.is_uuid_like(entry.id):
                ids.append(entry.id)
            else:
                LOG.warning("The index of the bank of %s names %r", self._provider.name, entry.id[:64])
                self._report.unreadable += 1
        return ids

    def _missing(self, bank: Bank, seen: Set[str], began: datetime) -> list[str]:
        """Return the ids of the rows that are missing from the listing. Raises Unavailable if most are missing."""
        with self._database.reader() as session:
            old = checkpoints.present(session, self._provider.id, began - _YOUNG)
        # A failed checkpoint may never have been written to the bank.
        written = {row.id for row in old if row.status != states.ERROR}
        missing = [row.id for row in old if row.id not in seen and not self._is_busy(row.id)]
        self._check_plausible(bank, len(written), [each for each in missing if each in written])
        return missing

    def _check_plausible(self, bank: Bank, expected: int, missing: Sequence[str]) -> None:
        """Raise Unavailable if more than half of the checkpoints are missing without a trace of a deletion."""
        if self._force or 2 * len(missing) <= expected:
            return
        lost = sum(not bank.checkpoints.has_trace(checkpoint_id) for checkpoint_id in missing)
        if 2 * lost > expected:
            raise exception.Unavailable(
                f"bank of provider {self._provider.name}: it has no trace of {lost} of its {expected} checkpoints and"
                " nothing was marked as deleted; check that it is mounted and that the container is right, or run"
                " 'karbor-like-manage bank reindex --force' if the checkpoints really were deleted"
            )

    def _find(self, checkpoint_id: str) -> Checkpoint | None:
        with self._database.reader() as session:
            return checkpoints.CHECKPOINTS.find(session, checkpoint_id)

    def _is_busy(self, checkpoint_id: str) -> bool:
        with self._database.reader() as session:
            return bool(operations.using(session, checkpoint_id))

    def _follow(self, bank: Bank, checkpoint_id: str, row: Checkpoint | None) -> None:
        try:
            record = self._fail_stalled(bank.checkpoints.get(checkpoint_id))
            bank_rows.check(record, self._provider.id)
        except exception.CheckpointNotFound:
            if row is not None and row.status not in (states.ERROR, states.DELETED):
                self._set(row, states.DELETED, reason="deleted at another site")
            return
        except (errors.BankError, exception.InvalidInput) as error:
            LOG.warning("Checkpoint %s in the bank of %s cannot be read: %s", checkpoint_id, self._provider.name, error)
            self._report.unreadable += 1
            return
        if row is None:
            self._add(record)
        elif row.status != record.status:
            reappeared = row.status == states.DELETED
            reason = "it is in the bank again" if reappeared else "changed at another site"
            results = bank_rows.results(record)
            if results["reason"]:
                reason = f"{reason}; {results['reason']}"
            self._set(row, record.status, **{**results, "reason": reason, "deleted_at": None})

    def _left_unfinished(self) -> Sequence[tuple[Checkpoint, str]]:
        with self._database.reader() as session:
            return checkpoints.left_unfinished(session, self._provider.id)

    def _end(self, bank: Bank, row: Checkpoint, reason: str, *, is_mounted: bool) -> None:
        """End a checkpoint that the control plane has lost, here and in the bank, unless the bank knows of an end.

        :param is_mounted: whether the bank has any checkpoint; one that is not mounted looks empty
        """
        try:
            if bank.checkpoints.get(row.id).status in states.UNFINISHED:
                bank.checkpoints.abandon(row.id, reason)
                self._set(row, states.ERROR, reason=reason)
            else:
                self._follow(bank, row.id, row)
        except exception.CheckpointNotFound:
            if bank.checkpoints.has_trace(row.id):
                self._follow(bank, row.id, row)
            elif is_mounted:
                self._set(row, states.ERROR, reason=reason)
        except (errors.BankError, exception.Conflict) as error:
            LOG.warning("Checkpoint %s in the bank of %s cannot be ended: %s", row.id, self._provider.name, error)
            self._report.unreadable += 1

    def _fail_stalled(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return *record*, with the status of a failed deletion if its deletion stalled."""
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
            checkpoints.CHECKPOINTS.insert(session, **bank_rows.values(record, self._project_map))
            self._report.added += 1

        self._database.write(write)

    def _set(self, row: Checkpoint, status: str, **values: Any) -> None:
        """Change the row unless it has changed, or an operation on the checkpoint has started, since it was read."""

        def write(session: orm.Session) -> None:
            if operations.using(session, row.id):
                return
            if lifecycle.follow_bank(session, row, status, **values):
                LOG.info("Checkpoint %s changed from %s to %s: %s", row.id, row.status, status, values["reason"])
                if status == states.DELETED:
                    self._report.deleted += 1
                else:
                    self._report.changed += 1

        self._database.write(write)
