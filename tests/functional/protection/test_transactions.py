"""The number of database transactions that a protect needs."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.functional.protection.site import Site, running

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
