import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from karbor_like.db import migration, trusts
from karbor_like.db.models import Base, Operation, Restore, ScheduledOperation, Trigger, Trust, base
from karbor_like.db.models.base import new_id
from karbor_like.db.operations import OPERATIONS
from karbor_like.db.restores import RESTORES
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from tests.fixtures.database import open_database


def _differences(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migration.VERSION_TABLE})
        return compare_metadata(context, Base.metadata)


def test_an_empty_database_has_no_version(database_url):
    database = open_database(database_url)
    assert migration.version(database) is None


def test_the_migrations_create_the_tables_of_the_models(database):
    assert migration.version(database) == migration.head()
    assert _differences(database) == []


def test_syncing_again_changes_nothing(database):
    migration.sync(database)
    assert _differences(database) == []


def test_an_interrupted_migration_can_be_run_again(database_url):
    database = open_database(database_url)
    migration.sync(database, "0003")
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {migration.VERSION_TABLE} SET version_num = '0001'")
    migration.sync(database)
    assert _differences(database) == []


def test_requests_without_an_operation_fail(database_url):
    database = open_database(database_url)
    migration.sync(database, "0019")
    lost, queued = new_id(), new_id()
    values = {"project_id": "p", "provider_id": "v", "checkpoint_id": "c", "parameters": {}, "status": "in_progress"}
    values |= {"resources_status": {}, "resources_reason": {}, "created_at": datetime.now(UTC)}
    for restore_id in (lost, queued):
        _insert(database, Restore.__table__, id=restore_id, **values)
    _insert_operation(database, restore_id=queued)
    migration.sync(database)
    with database.reader() as session:
        assert RESTORES.get(session, queued).status == "in_progress"
        assert (RESTORES.get(session, lost).status, RESTORES.get(session, lost).reason) == (
            "fail",
            "the request was lost before its operation was queued; send it again",
        )


def _insert_operation(database, **values):
    """Insert an operation into a table that may lack columns of the model."""
    now = datetime.now(UTC)
    required = {"operation_type": "restore", "project_id": "p", "provider_id": "v", "parameters": {}, "state": "queued"}
    required |= {"id": new_id(), "status": "in_progress", "created_at": now}
    zero = {"epoch": 0, "attempts": 0, "cancel_requested": False}
    _insert(database, Operation.__table__, **required, **zero, **values)
    return required["id"]


def _insert(database, table, **values):
    columns = [sa.column(name, table.c[name].type if name in table.c else None) for name in values]
    statement = sa.insert(sa.table(table.name, *columns)).values(values)
    database.write(lambda session: session.execute(statement))


def test_trusts_stay_shared_by_the_operations_of_their_user(database_url):
    database = open_database(database_url)
    migration.sync(database, "0020")
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    old = sa.Table(
        "trusts", sa.MetaData(), sa.Column("created_at", base.UTCDateTime), sa.Column("released_at", base.UTCDateTime)
    )
    trigger = {"project_id": "p", "name": "t", "type": "time", "properties": {}, "created_at": now, "id": new_id()}
    _insert(database, Trigger.__table__, **trigger)
    scheduled = {}
    for user in ("alice", "alice", "bob"):
        values = {"id": new_id(), "user_id": user, "project_id": "p", "name": "n", "operation_type": "protect"}
        values |= {"trigger_id": trigger["id"], "plan_id": new_id(), "operation_definition": {}, "created_at": now}
        _insert(database, ScheduledOperation.__table__, **values, enabled=True)
        scheduled.setdefault(user, []).append(values["id"])
    # Nothing needs the trust of carol, and that of dora was released.
    for user, released in (("alice", None), ("carol", None), ("dora", now)):
        _insert(
            database,
            old,
            user_id=user,
            project_id="p",
            trust_id=f"trust of {user}",
            created_at=now,
            released_at=released,
        )
    with_credential, without = (_insert_operation(database, credential=text) for text in ("encrypted", None))
    migration.sync(database)
    assert _differences(database) == []
    with database.reader() as session:
        rows = {row.keystone_id: row for row in session.execute(sa.select(Trust)).scalars()}
        assert {text: row.released_at for text, row in rows.items()} == {
            "trust of alice": None,
            "trust of carol": now,
            "trust of dora": now,
        }
        assert {row.user_id for row in trusts.due(session, 10)} == {"carol", "dora"}
        shared = {SCHEDULED_OPERATIONS.get(session, operation_id).trust_id for operation_id in scheduled["alice"]}
        assert shared == {rows["trust of alice"].id}
        assert SCHEDULED_OPERATIONS.get(session, *scheduled["bob"]).trust_id is None
        assert OPERATIONS.get(session, with_credential).trust_fingerprint == trusts.UNKNOWN
        assert OPERATIONS.get(session, without).trust_fingerprint is None


def _sync(url):
    migration.sync(open_database(url))


def test_hosts_can_migrate_concurrently(database_url):
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(_sync, database_url) for _ in range(4)]:
            done.result()
    assert _differences(open_database(database_url)) == []
