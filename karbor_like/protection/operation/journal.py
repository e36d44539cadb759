"""The journal of one resource of one operation, in the database: see :class:`karbor_like.plugins.protection.Journal`."""

from collections.abc import Sequence

from karbor_like.db import operations
from karbor_like.db.models import JournalEntry
from karbor_like.plugins.protection import Entry
from karbor_like.protection.operation.outage import OperationDatabase


class DatabaseJournal:
    """A journal of which a process that lost the operation writes nothing. An outage of the database is waited for.

    :param name: prefix of the names under which cloud resources are created; unique to the resource and operation
    """

    def __init__(self, database: OperationDatabase, resource_key: str, name: str) -> None:
        self._database = database
        self._operation_id = database.claim.operation_id
        self._key = resource_key
        self._name = name

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        name = f"{self._name}-{role}"
        return self._database.write(
            lambda session: _entry(
                operations.intend(session, self._operation_id, self._key, role, name=name, keep=keep)
            )
        )

    def made(self, role: str, cloud_id: str) -> Entry:
        return self._note(role, cloud_id=cloud_id)

    def gone(self, role: str) -> None:
        self._note(role, gone=True)

    def peek(self, role: str) -> Entry | None:
        rows = self._database.peek(lambda session: operations.journal(session, self._operation_id, self._key))
        return next((_entry(row) for row in rows if row.role == role), None)

    def entries(self) -> Sequence[Entry]:
        return self._database.read(
            lambda session: [_entry(row) for row in operations.journal(session, self._operation_id, self._key)]
        )

    def _note(self, role: str, **values: object) -> Entry:
        return self._database.write(
            lambda session: _entry(operations.note(session, self._operation_id, self._key, role, **values))
        )


def _entry(row: JournalEntry) -> Entry:
    return Entry(row.role, row.name, row.cloud_id, row.keep)
