"""Database transactions: how many a protect needs, and that none of them waits."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.clock import SystemClock
from tests.functional.protection.site import PROVIDER, Site, running

#: Tables of TaskFlow's persistence and of the progress of resources.
_TABLES = ("logbooks", "flowdetails", "atomdetails", "operation_resources")


class Transactions:
    """Counts the transactions on *engine* that touch :data:`_TABLES`."""

    def __init__(self, engine: sa.Engine) -> None:
        self.log: list[list[str]] = []
        sa.event.listen(engine, "before_cursor_execute", self._note)
        sa.event.listen(engine, "commit", self._end)
        sa.event.listen(engine, "rollback", self._end)

    def _note(self, conn: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
        conn.info.setdefault("statements", []).append(statement)

    def _end(self, conn: sa.Connection) -> None:
        statements = conn.info.pop("statements", [])
        if any(table in statement for statement in statements for table in _TABLES):
            self.log.append(statements)


def test_the_guard_notices_each_kind_of_wait(tmp_path: Path, files: Path, waits_in_transactions: list[str]):
    """The other tests of this directory rely on it."""
    site = Site(tmp_path, files)
    bank = site.env.providers.get(PROVIDER).bank

    def ask_the_bank() -> None:
        with pytest.raises(exception.CheckpointNotFound):
            bank.checkpoints.get("none")

    def nest() -> None:
        with sa.create_engine("sqlite://").begin() as connection:
            connection.execute(sa.select(1))

    waits = {"time.sleep": lambda: SystemClock().sleep(0), "FilesystemStore.": ask_the_bank, "a transaction": nest}
    for name, wait in waits.items():
        wait()
        assert waits_in_transactions == [], f"{name} outside"
        with site.env.database.writer() as session:
            session.execute(sa.select(1))
            wait()
        assert any(fault.startswith(name) for fault in waits_in_transactions), name
        waits_in_transactions.clear()
    site.close()


def test_a_protect_of_one_resource_needs_few_transactions(tmp_path: Path, files: Path):
    """Each is a round trip and a commit to the database while a tenant waits."""
    files.write_text(files.read_text().replace("progress_interval = 0", "progress_interval = 600"))
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "steps"})
    counted = Transactions(site.env.database.engine)
    created = site.protect("a")["id"]
    with running(site):
        site.wait_done(checkpoint_id=created)
    assert site.checkpoint(created).status == "available"
    statements = [statement for transaction in counted.log for statement in transaction]
    for table in _TABLES:
        assert any(table in statement for statement in statements), f"{table} is not counted"
    # Six tasks, a hook for each, and ten steps: more than a volume has.
    assert len(counted.log) <= 40, "\n".join(f"{number}: {log}" for number, log in enumerate(counted.log))
    row = site.resources(checkpoint_id=created)["a"]
    assert (row.bytes_done, row.bytes_total, row.logical_bytes, row.stored_bytes) == (2, 2, 100, 30)
