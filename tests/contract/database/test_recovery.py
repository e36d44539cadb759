"""All rows return as they were, on every database, and the site continues from them."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from taskflow.persistence.backends.sqlalchemy import tables

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.conf import operationengine as options
from karbor_like.conf import taskflow as taskflow_options
from karbor_like.conf import trigger as trigger_options
from karbor_like.control import database as archived
from karbor_like.control import errors, recovery
from karbor_like.control.archive import Member
from karbor_like.db import checkpoints, jobs, migration, operations, scheduled_runs, services
from karbor_like.db import session as db_session
from karbor_like.db.models import (
    Base,
    Checkpoint,
    JournalEntry,
    Operation,
    OperationResource,
    PeriodicJob,
    Plan,
    Restore,
    ScheduledOperation,
    ScheduledRun,
    Service,
    Trigger,
)
from karbor_like.db.models.base import new_id
from karbor_like.protection.workflow import engine
from tests.fixtures.database import open_database

MADE = datetime(2031, 3, 1, 0, 30, 12, 345678, tzinfo=UTC)


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group in (options, trigger_options, taskflow_options):
        conf.register_opts(group.OPTS, group=group.GROUP)
    conf([])
    return conf


@pytest.fixture
def persistence(conf, database):
    """Flows, of which the database has none, and no tables for them."""
    return engine.persistence(conf, database)


@pytest.fixture
def flows(persistence, database):
    """Flows with their tables, which other tests do not expect."""
    persistence.upgrade()
    yield persistence
    metadata = sa.MetaData()
    tables.fetch(metadata)
    sa.Table("alembic_version", metadata)
    with database.engine.begin() as connection:
        metadata.drop_all(connection)


def fill(database) -> None:
    """Insert rows with every kind of value."""
    source = random.Random(1)
    text = 'é€𝄞 "quoted" \\ \n\t%s :name $x'
    odd = {"text": text, "null": None, "number": 2**53 - 1, "float": 1.5, "list": [[], {}], "true": True}

    def write(session) -> None:
        for number in range(603):
            session.add(
                Plan(
                    id=new_id(),
                    project_id="p",
                    name=f"{text} {number}",
                    provider_id="x",
                    status="suspended",
                    resources=[odd],
                    parameters={},
                    created_at=MADE + timedelta(microseconds=source.randrange(10**9)),
                )
            )
        operation = Operation(
            id=new_id(),
            operation_type="protect",
            project_id="p",
            provider_id="x",
            parameters={},
            status="available",
            queue_state=operations.DONE,
            created_at=MADE,
            cancel_requested=True,
        )
        session.add(operation)
        session.flush()
        for number in range(520):
            values = {"operation_id": operation.id, "resource_key": f"r{number % 260}"}
            session.add(JournalEntry(role=f"role{number // 260}", seq=number, name="n", **values))
            if number < 260:
                session.add(OperationResource(bytes_done=2**40, **values))
        services.beat(session, "karbor-protection", "alpha", "process 1", {"hung": []})

    database.write(write)


def contents(database) -> dict:
    with database.snapshot() as connection:
        existing = sa.inspect(connection).get_table_names()
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
            for table in archived.tables()
            if table.name in existing
        }


def dump(database) -> list[Member]:
    with database.snapshot() as connection:
        return list(archived.dump(connection))


def load(database, members) -> int:
    return archived.load(database, iter(members), lambda session: None)


def test_every_row_returns(database, flows, monkeypatch):
    monkeypatch.setattr(archived, "PART_BYTES", 20_000)
    fill(database)
    database.write(lambda session: flows.save(session, new_id(), "a flow"))
    before = contents(database)
    members = dump(database)
    assert len({member.name for member in members}) == len(members) > 10
    assert max(len(member.data) for member in members) < 30_000
    database.write(
        lambda session: session.add(
            Plan(project_id="p", name="later", provider_id="x", resources=[], parameters={}, created_at=MADE)
        )
    )
    assert load(database, members) == sum(map(len, before.values())) == 603 + 1 + 520 + 260 + 1 + 2
    assert contents(database) == before
    assert {table.name for table in Base.metadata.sorted_tables} < set(before)
    # A missing value is not JSON's null, and new rows are numbered after the loaded ones.
    new = database.write(lambda session: services.beat(session, "karbor-protection", "beta").id)
    with database.reader() as session:
        assert session.execute(sa.select(sa.func.count()).where(Operation.extra_info.is_(sa.null()))).scalar() == 1
        assert new > min(session.execute(sa.select(Service.id)).scalars())


def test_a_dump_sees_one_moment_while_others_write(database):
    fill(database)
    with database.snapshot() as connection:
        parts = archived.dump(connection)
        first = [next(parts)]
        database.write(lambda session: session.execute(sa.delete(JournalEntry)))
        database.write(lambda session: session.execute(sa.delete(Plan)))
        members = first + list(parts)
    count = {}
    for member in members:
        table, rows = archived.rows_of(member)
        count[table.name] = count.get(table.name, 0) + len(rows)
    assert (count["plans"], count["journal_entries"]) == (603, 520)


def test_a_load_that_fails_changes_nothing(database):
    fill(database)
    before = contents(database)
    members = dump(database)
    plans = next(member for member in members if member.name == "database/plans/000000")
    head, row, *_ = plans.data.decode().split("\n")
    values = json.loads(row)
    wrong = [
        [*values[:-1], "yesterday"],
        values[:-1],
        {"a": 1},
        None,
    ]
    for line in (*map(json.dumps, wrong), "{", "[" * 100_000):
        member = Member(plans.name, f"{head}\n{row}\n{line}".encode())
        with pytest.raises(errors.BadArchive):
            load(database, [member])
    missing = (
        ("database/nothing/000000", b"[]"),
        ("database/plans/000000", b'["nothing"]'),
        ("database/plans/0", b"\xff"),
    )
    for name, data in missing:
        with pytest.raises(errors.BadArchive):
            load(database, [Member(name, data)])
    # The database itself refuses these.
    twice = Member(plans.name, f"{head}\n{row}\n{row}".encode())
    incomplete = Member(plans.name, f"{head}\n{json.dumps([values[0], *[None] * (len(values) - 1)])}".encode())
    for member in (twice, incomplete):
        with pytest.raises(errors.BadArchive, match="rows of table plans are not valid"):
            load(database, [member])
    assert contents(database) == before


def test_a_database_is_replaceable_if_it_is_empty_or_by_force_but_not_in_use(database):
    archived.check_replaceable(database, 60, force=False)
    database.write(lambda session: services.beat(session, "karbor-protection", "alpha", "process 1"))
    with pytest.raises(exception.Conflict, match="in use by karbor-protection on alpha; stop all services"):
        archived.check_replaceable(database, 60, force=True)
    database.write(lambda session: services.leave(session, "karbor-protection", "alpha", "process 1"))
    archived.check_replaceable(database, 60, force=False)
    database.write(lambda session: operation(session, "protect"))
    with pytest.raises(exception.Conflict, match="not empty: operations have rows"):
        archived.check_replaceable(database, 60, force=False)
    archived.check_replaceable(database, 60, force=True)


# What follows


def operation(session, kind: str, state: str = operations.RUNNING, **values) -> str:
    row = Operation(
        operation_type=kind,
        project_id="p",
        provider_id="x",
        parameters={},
        status="in_progress",
        credential="encrypted",
        queue_state=state,
        owner="lost:1",
        epoch=3,
        lease_until=db_session.now(session) + timedelta(days=1),
        created_at=MADE,
        **values,
    )
    session.add(row)
    session.flush()
    return row.id


def recover(database, persistence) -> recovery.Recovered:
    return database.write(lambda session: recovery.recover(session, persistence, MADE))


def rows(database, model) -> dict:
    with database.reader() as session:
        return {row.id: row for row in session.execute(sa.select(model)).scalars()}


def test_repeatable_operations_continue(database, persistence):
    ids = database.write(lambda session: [operation(session, kind) for kind in ("delete", "verify")])
    assert recover(database, persistence).continued == 2
    with database.reader() as session:
        assert {row.id for row in operations.due(session, 10, ["x"])} == set(ids)
    found = rows(database, Operation)
    assert {(found[key].owner, found[key].lease_until, found[key].epoch) for key in ids} == {(None, None, 4)}
    assert {found[key].credential for key in ids} == {"encrypted"}


@pytest.mark.parametrize("state", [operations.RUNNING, operations.QUEUED])
def test_other_operations_are_ended(database, flows, state):
    restore_id, checkpoint_id, flow_id = new_id(), new_id(), new_id()

    def write(session) -> list[str]:
        shared = {"project_id": "p", "provider_id": "x", "created_at": MADE}
        session.add(Restore(id=restore_id, checkpoint_id="c", status="in_progress", **shared))
        session.add(
            Checkpoint(
                id=checkpoint_id, plan_id="q", plan={}, resource_graph="", extra_info={}, **shared, status="protecting"
            )
        )
        flows.save(session, flow_id, "a flow")
        ids = [
            operation(session, "protect", state, checkpoint_id=checkpoint_id, flow_id=flow_id),
            operation(session, "copy", state, checkpoint_id=new_id()),
            operation(session, "restore", state, restore_id=restore_id),
        ]
        entry = {"operation_id": ids[0], "resource_key": "r", "seq": 1}
        session.add(JournalEntry(role="snapshot", name="karbor-like-1-snapshot", cloud_id="77", **entry))
        session.add(JournalEntry(role="volume", name="karbor-like-1-volume", gone=True, **entry))
        return ids

    ids = database.write(write)
    done = recover(database, flows)
    assert (done.continued, done.ended, done.leftovers) == (0, 3, ["karbor-like-1-snapshot (77)"])
    found = rows(database, Operation)
    assert {found[key].queue_state for key in ids} == {operations.DONE}
    assert [found[key].status for key in ids] == ["error", "error", "fail"]
    assert {(found[key].credential, found[key].lease_until, found[key].epoch) for key in ids} == {(None, None, 4)}
    assert "recovered from an archive of 2031-03-01 00:30:12 UTC" in found[ids[0]].error_info
    restore = rows(database, Restore)[restore_id]
    assert restore.status == "fail"
    assert "check what it created" in restore.reason
    # The bank knows what became of the checkpoint.
    assert rows(database, Checkpoint)[checkpoint_id].status == "protecting"
    with database.reader() as session:
        left = checkpoints.left_unfinished(session, "x")
        assert [(row.id, reason) for row, reason in left] == [(checkpoint_id, found[ids[0]].error_info)]
        assert operations.with_orphans(session, 10) == []
        assert operations.using(session, checkpoint_id) == []
        assert session.execute(sa.text("SELECT count(*) FROM flowdetails")).scalar() == 0
    assert recover(database, flows).ended == 0


def test_ended_operations_stay_as_they_are(database, persistence):
    kept = database.write(lambda session: operation(session, "protect", operations.DONE))
    recover(database, persistence)
    row = rows(database, Operation)[kept]
    assert (row.status, row.credential, row.epoch) == ("in_progress", "encrypted", 3)


def test_no_service_of_the_lost_site_seems_to_run(database, persistence):
    def write(session) -> None:
        services.beat(session, "karbor-protection", "alpha", "process 1", {"hung": []})
        row = services.beat(session, "karbor-operationengine", "alpha", "process 2")
        row.update({"status": "disabled", "disabled_reason": "broken", "created_at": MADE})
        jobs.take(session, "sync x", "alpha:1", 3600)

    database.write(write)
    recover(database, persistence)
    (row,) = rows(database, Service).values()
    assert (row.binary, row.status, row.disabled_reason) == ("karbor-operationengine", "disabled", "broken")
    assert (row.reports, row.updated_at) == (None, MADE)
    with database.reader() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(PeriodicJob)).scalar() == 0
    # The synchronization with the banks is due.
    assert database.write(lambda session: jobs.take(session, "sync x", "beta:1", 3600))


HOURLY = {"format": "crontab", "pattern": "0 * * * *", "start_time": "2031-03-01 00:00:00", "window": 900}


def scheduled(database) -> str:
    def write(session) -> str:
        shared = {"project_id": "p", "created_at": MADE}
        trigger = Trigger(
            name="t", type="time", properties=HOURLY, next_run_at=datetime(2031, 3, 1, 1, tzinfo=UTC), **shared
        )
        session.add(trigger)
        session.flush()
        row = ScheduledOperation(
            user_id="u",
            name="o",
            operation_type="protect",
            trigger_id=trigger.id,
            plan_id="plan",
            operation_definition={"provider_id": "x", "plan_id": "plan"},
            **shared,
        )
        session.add(row)
        session.flush()
        return row.id

    return database.write(write)


def test_due_times_until_now_are_missed_even_within_their_window(database, persistence, conf):
    scheduled(database)
    # Five minutes after a due time: the lost site may have run it.
    clock = ManualClock(datetime(2031, 3, 1, 3, 5, tzinfo=UTC))
    assert recovery.miss_due_times(conf, database, clock) == 1
    runs = sorted(rows(database, ScheduledRun).values(), key=lambda run: run.due_at)
    assert [(run.due_at.hour, run.state) for run in runs] == [(hour, scheduled_runs.MISSED) for hour in (1, 2, 3)]
    assert "recovered from an archive; it may have run before" in runs[-1].reason
    (trigger,) = rows(database, Trigger).values()
    assert trigger.next_run_at.hour == 4
    assert recovery.miss_due_times(conf, database, clock) == 0
    with database.reader() as session:
        assert not scheduled_runs.has_pending(session, clock.now())


def test_started_runs_follow_their_checkpoint_or_end(database, persistence):
    owner = scheduled(database)

    def write(session) -> None:
        shared = {"scheduled_operation_id": owner, "project_id": "p", "window_ends_at": MADE, "created_at": MADE}
        shared |= {"state": scheduled_runs.STARTED, "owner": "lost:1", "lease_until": MADE + timedelta(days=1)}
        for hour, checkpoint_id in ((1, new_id()), (2, None)):
            due_at = datetime(2031, 3, 1, hour, tzinfo=UTC)
            session.add(
                ScheduledRun(due_at=due_at, next_look_at=due_at, checkpoint_id=checkpoint_id, epoch=1, **shared)
            )

    database.write(write)
    assert recover(database, persistence).runs == 1
    first, second = sorted(rows(database, ScheduledRun).values(), key=lambda run: run.due_at)
    assert (first.state, first.lease_until, first.owner, first.epoch) == (scheduled_runs.STARTED, None, None, 2)
    assert (second.state, second.next_look_at) == (scheduled_runs.FAILED, None)
    assert second.reason.startswith("the service was recovered")


def test_the_schema_of_the_archive_is_made_and_upgraded(database_url, conf):
    target = open_database(database_url)
    migration.sync(target)
    engine.persistence(conf, target).upgrade()
    archived.prepare(conf, target, "0024")
    assert migration.version(target) == "0024"
    assert {"plans", "logbooks", "atomdetails"} <= set(sa.inspect(target.engine).get_table_names())
    table = {"id": new_id(), "project_id": "p", "name": "n", "provider_id": "x", "status": "suspended"}
    row = [*table.values(), [], {}, MADE.isoformat()]
    head = [*table, "resources", "parameters", "created_at"]
    load(target, [Member("database/plans/000000", f"{json.dumps(head)}\n{json.dumps(row)}".encode())])
    migration.sync(target)
    assert [plan.name for plan in rows(target, Plan).values()] == ["n"]
    target.dispose()
