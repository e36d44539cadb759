"""A database that an earlier release wrote: after ``db sync``, its rows are read through the repositories."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from karbor_like.db import migration, operations
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import JournalEntry
from karbor_like.db.operations import OPERATIONS
from karbor_like.db.plans import PLANS
from karbor_like.db.restores import RESTORES
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.db.triggers import TRIGGERS
from karbor_like.db.trusts import TRUSTS
from tests.fixtures.database import open_database

DUMP = Path(__file__).parents[1] / "data" / "database.sql"

PROJECT = "b7a1c2d3e4f5460718293a4b5c6d7e8f"
PROVIDER = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
PLAN = "2f5d1c7a-6c57-4a2b-8f3e-7d9c1b0a4e12"
CHECKPOINT = "5f0c1c9e-8d5b-4a55-9d1b-0e8f5a1d7c01"
PROTECT, RESTORE_OPERATION = "0c9b8a7d-1111-4e2f-9a3b-000000000001", "0c9b8a7d-1111-4e2f-9a3b-000000000002"
RESTORE = "7e6d5c4b-2222-4a1b-8c9d-000000000001"
TRIGGER = "9a8b7c6d-3333-4f5e-a1b2-000000000001"
SCHEDULED_OPERATION = "6b5c4d3e-4444-4d6f-b2c3-000000000001"
VOLUME = "8e3f1d2c-5555-4b7a-9c0d-000000000001"
CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "karbor_like.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(DUMP.read_text())
    connection.close()
    handle = open_database(f"sqlite:///{path}")
    migration.sync(handle)
    yield handle
    handle.dispose()


def test_it_is_at_the_newest_version(database: Database) -> None:
    assert migration.version(database) == migration.head()


def test_plans_and_checkpoints_are_read(database: Database) -> None:
    with database.reader() as session:
        plan = PLANS.get(session, PLAN, PROJECT)
        assert (plan.name, plan.status, plan.created_at) == ("nightly", "started", CREATED_AT)
        assert [resource["id"] for resource in plan.resources] == [VOLUME]
        assert plan.parameters == {"OS::Cinder::Volume": {"backup_mode": "full"}}
        checkpoint = CHECKPOINTS.get(session, CHECKPOINT, PROJECT)
        assert (checkpoint.status, checkpoint.plan_id, checkpoint.logical_bytes) == ("available", PLAN, 1 << 33)


def test_operations_are_read(database: Database) -> None:
    with database.reader() as session:
        operation = OPERATIONS.get(session, PROTECT)
        assert (operation.operation_type, operation.status) == ("protect", "available")
        assert (operation.owner, operation.attempts) == ("host:1:protection", 1)
        (resource,) = operations.resources_of(session, [PROTECT])
        assert (resource.resource_key, resource.status) == (f"OS::Cinder::Volume#{VOLUME}", "available")
        entry = session.get_one(JournalEntry, (PROTECT, f"OS::Cinder::Volume#{VOLUME}", "snapshot"))
        assert (entry.name, entry.cloud_id) == ("karbor-snapshot-1", "11111111-aaaa-4bbb-8ccc-000000000001")
        assert operations.journal(session, PROTECT) == []


def test_a_restore_that_waits_is_run(database: Database) -> None:
    with database.reader() as session:
        restore = RESTORES.get(session, RESTORE, PROJECT)
        assert (restore.status, restore.checkpoint_id) == ("in_progress", CHECKPOINT)
        (due,) = operations.due(session, 10, [PROVIDER])
    assert (due.id, due.restore_id) == (RESTORE_OPERATION, RESTORE)
    claim = database.write(lambda session: operations.claim(session, due, "host:2:protection", 60.0))
    assert claim is not None


def test_schedules_are_read(database: Database) -> None:
    with database.reader() as session:
        trigger = TRIGGERS.get(session, TRIGGER, PROJECT)
        assert trigger.properties["pattern"] == "0 3 * * *"
        assert trigger.next_run_at == datetime(2026, 1, 3, 2, 0, tzinfo=UTC)
        scheduled = SCHEDULED_OPERATIONS.get(session, SCHEDULED_OPERATION, PROJECT)
        assert (scheduled.operation_type, scheduled.trigger_id, scheduled.enabled) == (
            "retention_protect",
            TRIGGER,
            True,
        )
        assert scheduled.operation_definition["retention"] == {"max_backups": 10}
        assert TRUSTS.get(session, str(scheduled.trust_id)).keystone_id == "gAAAAA-encrypted"


def test_rows_are_written(database: Database) -> None:
    database.write(lambda session: PLANS.update(session, PLAN, {"name": "weekly"}))
    with database.reader() as session:
        assert PLANS.get(session, PLAN).name == "weekly"
