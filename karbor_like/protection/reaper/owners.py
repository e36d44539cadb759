"""What the database and the banks know about the owners of marked objects."""

import base64
import binascii
import logging
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from karbor_like import exception, watchdog
from karbor_like.bank import Bank, CheckpointRecord, IndexEntry, errors
from karbor_like.db import checkpoints, operations
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.heat.deployment import STACK
from karbor_like.plugins.objects import Mark
from karbor_like.protection.reaper.verdicts import Known, Standing, judge
from karbor_like.protection.registry.providers import Provider

LOG = logging.getLogger(__name__)

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PAGE: Final = 500

#: Statuses of checkpoints that need nothing.
_NEEDLESS: Final = frozenset({states.ERROR, states.DELETED})


def find_known(database: Database, operation_id: str) -> Known | None:
    """Return what the database knows of an operation, or None if it does not know it."""
    with database.reader() as session:
        row = operations.OPERATIONS.find(session, operation_id)
        if row is None:
            return None
        if row.queue_state != operations.DONE:
            return Known(is_done=False)
        kept = [entry for entry in operations.journal(session, operation_id) if entry.keep]
        checkpoint = checkpoints.CHECKPOINTS.find(session, row.checkpoint_id) if row.checkpoint_id else None
    if row.operation_type == OperationType.PROTECT:
        holds = checkpoint is not None and checkpoint.deleted_at is None and checkpoint.status not in _NEEDLESS
    else:
        holds = row.status == states.OPERATION[OperationType(row.operation_type)].done
    return Known(
        is_done=True,
        is_cleaning=row.lease_until is not None,
        ended_at=row.ended_at,
        # The objects of a stack have its name as their description.
        results={entry.cloud_id or entry.name for entry in kept}
        | {entry.name for entry in kept if entry.resource_key == STACK.key},
        holds=holds,
    )


def find_recorded(database: Database, project_id: str, kind: str) -> list[Mark]:
    """Return marks of the objects of a type that the journals of failed restores name, and that no clean-up deletes.

    :param kind: the type in the template of a restore
    """
    with database.reader() as session:
        found = operations.given_up(session, project_id, kind)
        return [Mark(str(each.cloud_id), each.name, each.operation_id, None, recorded=True) for each in found]


class Owners:
    """The owners of the objects of one project, as of now. The banks are read at the first doubt, and only once.

    :param running: ids of the operations that other sites run, by the leases in the banks
    """

    def __init__(
        self, database: Database, providers: Sequence[Provider], project_id: str, before: datetime, running: "Running"
    ) -> None:
        self._database = database
        self._providers = providers
        self._project_id = project_id
        self._before = before
        self._running = running
        #: Why a bank could not be read.
        self.problems: list[str] = []

    def judge(self, mark: Mark) -> Standing:
        """Return the standing of an object."""
        known = find_known(self._database, mark.operation_id)
        if known is None and mark.operation_id in self._running.operations:
            known = Known(is_done=False)
        return judge(mark, known, self._before, lambda: self._need(mark))

    def _need(self, mark: Mark) -> bool | None:
        named = {found.lower() for found in _UUID.findall(mark.cloud_id)}
        if named & self._named:
            return True
        return None if self.problems or self._running.problems else False

    @cached_property
    def _named(self) -> Set[str]:
        """The ids that the documents of the project's checkpoints name."""
        named: set[str] = set()
        for provider in self._providers:
            try:
                for project_id in self._projects_in(provider):
                    seen = set()
                    for record in _records(provider.bank, project_id):
                        seen.add(record.id)
                        named |= _named_by(provider.bank, record)
                    self._check_plausible(provider, project_id, seen)
            except exception.KarborLikeError as error:
                self.problems.append(f"the bank of provider {provider.name}: {exception.public_text(error)}")
        return named

    def _check_plausible(self, provider: Provider, project_id: str, seen: Set[str]) -> None:
        """Raise Unavailable if the bank lacks a checkpoint: one that is not mounted looks empty."""
        with self._database.reader() as session:
            expected = checkpoints.available_ids(session, provider.id, self._project_id, project_id)
        missing = next((checkpoint_id for checkpoint_id in expected if checkpoint_id not in seen), None)
        if missing is not None:
            raise exception.Unavailable(
                f"checkpoint {missing}, which is available, is not in it; check that it is mounted and that the container is"
                " right"
            )

    def _projects_in(self, provider: Provider) -> list[str]:
        """Return the ids that the project has in the bank of a provider."""
        mapped = [there for there, here in provider.project_map.items() if here == self._project_id]
        return [self._project_id, *mapped]


class Running:
    """The operations that hold a lease in the bank of any provider, such as those of other sites.

    :param mistakes: why the banks of further providers cannot be read
    """

    def __init__(self, providers: Sequence[Provider], mistakes: Sequence[str]) -> None:
        self._providers = providers
        #: Why a bank could not be read.
        self.problems = [*mistakes]

    @cached_property
    def operations(self) -> Set[str]:
        """Their ids."""
        found: set[str] = set()
        for provider in self._providers:
            try:
                for lease in provider.bank.leases.list():
                    found.update(_UUID.findall(lease.holder))
            except exception.KarborLikeError as error:
                self.problems.append(f"the bank of provider {provider.name}: {exception.public_text(error)}")
        return found


def _records(bank: Bank, project_id: str) -> Iterator[CheckpointRecord]:
    """Go through the checkpoints of a project that may need something."""
    marker: IndexEntry | None = None
    while True:
        page = bank.checkpoints.index.list(project_id=project_id, marker=marker, limit=_PAGE)
        for entry in page:
            watchdog.tick()
            try:
                record = bank.checkpoints.get(entry.id)
            except exception.CheckpointNotFound:
                continue
            if record.status not in _NEEDLESS:
                yield record
        if len(page) < _PAGE:
            return
        marker = page[-1]


def _named_by(bank: Bank, record: CheckpointRecord) -> Set[str]:
    named: set[str] = set()
    for node in Graph.from_text(record.resource_graph).nodes:
        section = bank.section_of(record, node.key)
        for name in section.documents():
            try:
                named |= _uuids(section.get(name))
            except errors.ObjectNotFound:
                continue  # it is being deleted
    return named


def _uuids(value: Any) -> Set[str]:
    """Return all UUIDs in a JSON value, also in a text that is base64, as the records of Cinder's backups are."""
    if isinstance(value, Mapping):
        return _uuids([*value.values()])
    if isinstance(value, list):
        return set().union(*map(_uuids, value))
    if not isinstance(value, str):
        return set()
    found = _UUID.findall(value)
    if not found:
        try:
            found = _UUID.findall(base64.b64decode(value, validate=True).decode())
        except (binascii.Error, ValueError):
            found = []
    return {each.lower() for each in found}
