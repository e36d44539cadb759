"""The journal of one resource of one operation, in the database: see :class:`karbor_like.plugins.protection.Journal`."""

from collections.abc import Sequence

from sqlalchemy import orm

from karbor_like.db import operations
from karbor_like.db.models import JournalEntry
from karbor_like.db.session import Database
from karbor_like.plugins.protection import Entry


class DatabaseJournal:
    """A journal whose every write first checks the claim, so that a process that lost the operation writes nothing.

    :param name: prefix of the names under which cloud resources are created; unique to the resource and operation
    """

    def __init__(self, database: Database, claim: operations.Claim, resource_key: str, name: str) -> None:
        self._database = database
        self._claim = claim
        self._key = resource_key
        self._name = name

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        def write(session: orm.Session) -> Entry:
            operations.check(session, self._claim)
            return _entry(
                operations.intend(
                    session, self._claim.operation_id, self._key, role, name=f"{self._name}-{role}", keep=keep
                )
            )

        return self._database.write(write)

    def made(self, role: str, cloud_id: str) -> Entry:
        return self._note(role, cloud_id=cloud_id)

    def gone(self, role: str) -> None:
        self._note(role, gone=True)

    def entries(self) -> Sequence[Entry]:
        with self._database.reader() as session:
            return [_entry(row) for row in operations.journal(session, self._claim.operation_id, self._key)]

    def _note(self, role: str, **values: object) -> Entry:
        def write(session: orm.Session) -> Entry:
            operations.check(session, self._claim)
            return _entry(operations.note(session, self._claim.operation_id, self._key, role, **values))

        return self._database.write(write)


def _entry(row: JournalEntry) -> Entry:
    return Entry(row.role, row.name, row.cloud_id, row.keep)
