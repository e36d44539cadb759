import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from karbor_like.db import migration
from karbor_like.db.models import Base
from karbor_like.db.operations import OPERATIONS
from karbor_like.db.restores import RESTORES
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
    values = {"project_id": "p", "provider_id": "v", "checkpoint_id": "c"}

    def write(session):
        lost, queued = (RESTORES.insert(session, **values).id for _ in range(2))
        OPERATIONS.insert(session, operation_type="restore", status="in_progress", restore_id=queued, **values)
        return lost, queued

    lost, queued = database.write(write)
    migration.sync(database)
    with database.reader() as session:
        assert RESTORES.get(session, queued).status == "in_progress"
        assert (RESTORES.get(session, lost).status, RESTORES.get(session, lost).reason) == (
            "fail",
            "the request was lost before its operation was queued; send it again",
        )


def _sync(url):
    migration.sync(open_database(url))


def test_hosts_can_migrate_concurrently(database_url):
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(_sync, database_url) for _ in range(4)]:
            done.result()
    assert _differences(open_database(database_url)) == []
