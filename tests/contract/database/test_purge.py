"""Old rows are removed in batches; objects that the API shows stay complete."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from karbor_like.db import purge
from karbor_like.db import session as db_session
from karbor_like.db.models import (
    Base,
    Checkpoint,
    IdempotencyKey,
    JournalEntry,
    Operation,
    OperationResource,
    Restore,
    ScheduledRun,
    Verification,
)

DAYS = 30


@pytest.fixture
def now(database):
    with database.reader() as session:
        return db_session.now(session)


@pytest.fixture
def old(now):
    return now - timedelta(days=DAYS, hours=1)


@pytest.fixture
def young(now):
    return now - timedelta(days=DAYS, hours=-1)


def _add(database, *rows):
    def write(session):
        session.add_all(rows)
        session.flush()

    database.write(write)


def _checkpoint(created_at, **values):
    given = {"project_id": "p", "provider_id": "v", "plan_id": "n", "status": "available", "id": str(uuid.uuid4())}
    return Checkpoint(plan={}, resource_graph="[]", extra_info={}, created_at=created_at, **given | values)


def _operation(created_at, **values):
    given = {
        "project_id": "p",
        "provider_id": "v",
        "status": "available",
        "queue_state": "done",
        "operation_type": "protect",
    }
    given |= {"id": str(uuid.uuid4()), "ended_at": created_at if values.get("queue_state", "done") == "done" else None}
    return Operation(created_at=created_at, **given | values)


def _request(model, created_at, **values):
    given = {"project_id": "p", "provider_id": "v", "checkpoint_id": "c", "status": "success", "id": str(uuid.uuid4())}
    return model(created_at=created_at, updated_at=created_at, **given | values)


def _ids(database, model):
    with database.reader() as session:
        return set(session.execute(sa.select(model.id)).scalars())


def _counts(database):
    with database.reader() as session:
        return {
            table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in Base.metadata.sorted_tables
        }


def test_what_is_needed_to_delete_orphans_is_kept(database, old, now):
    checkpoint = _checkpoint(old, status="deleted", deleted_at=old)
    operation = _operation(old, checkpoint_id=checkpoint.id, lease_until=now)
    restore = _request(Restore, old)
    restoring = _operation(old, operation_type="restore", restore_id=restore.id, lease_until=now)
    _add(database, checkpoint, restore, operation, restoring)
    assert purge.purge(database, DAYS) == purge.PurgeReport()

    def forget(session):
        for row_id in (operation.id, restoring.id):
            session.get(Operation, row_id).lease_until = None

    database.write(forget)
    assert purge.purge(database, DAYS) == purge.PurgeReport(checkpoints=1, restores=1, operations=2)


def test_deleted_checkpoints_are_removed_with_their_operations(database, old, young):
    gone = _checkpoint(old, status="deleted", deleted_at=old)
    recent = _checkpoint(old, status="deleted", deleted_at=young)
    standing = _checkpoint(old)
    its = {row.id: _operation(old, checkpoint_id=row.id) for row in (gone, recent, standing)}
    _add(database, gone, recent, standing, *its.values())
    _add(
        database,
        *(OperationResource(operation_id=row.id, resource_key="Type#1", status="available") for row in its.values()),
        *(JournalEntry(operation_id=row.id, resource_key="Type#1", role="r", seq=1, name="n") for row in its.values()),
    )

    report = purge.purge(database, DAYS)

    assert (report.checkpoints, report.operations) == (1, 1)
    assert _ids(database, Checkpoint) == {recent.id, standing.id}
    assert _ids(database, Operation) == {its[recent.id].id, its[standing.id].id}
    counts = _counts(database)
    assert (counts["operation_resources"], counts["journal_entries"]) == (2, 2)


def test_rows_of_unfinished_objects_stay_regardless_of_age(database, old):
    checkpoint = _checkpoint(old, status="deleted", deleted_at=old)
    restore = _request(Restore, old, status="in_progress")
    # The API marked it as failed, but a service had already claimed it.
    failed = _request(Verification, old, status="fail")
    operations = [
        _operation(old, queue_state="queued", checkpoint_id=checkpoint.id),
        _operation(old, queue_state="running", verification_id=failed.id),
    ]
    run = ScheduledRun(
        scheduled_operation_id="s", project_id="p", due_at=old, window_ends_at=old, state="started", created_at=old
    )
    _add(database, checkpoint, restore, failed, run, *operations)
    before = _counts(database)
    assert purge.purge(database, DAYS) == purge.PurgeReport()
    assert _counts(database) == before


@pytest.mark.parametrize(("model", "link"), [(Restore, "restore_id"), (Verification, "verification_id")])
def test_requests_are_removed_with_their_operations_although_the_checkpoint_stays(database, old, young, model, link):
    checkpoint = _checkpoint(old)
    gone, recent = _request(model, old, checkpoint_id=checkpoint.id), _request(model, young)
    its = {
        row.id: _operation(old, operation_type=link.removesuffix("_id"), checkpoint_id=checkpoint.id, **{link: row.id})
        for row in (gone, recent)
    }
    _add(database, checkpoint, gone, recent, *its.values())

    report = purge.purge(database, DAYS)

    assert getattr(report, model.__tablename__) == report.operations == 1
    assert _ids(database, model) == {recent.id}
    assert _ids(database, Operation) == {its[recent.id].id}


def test_runs_their_log_and_keys(database, now, old, young):
    def run(ended_at):
        times = {"due_at": ended_at, "window_ends_at": ended_at, "created_at": ended_at, "ended_at": ended_at}
        return ScheduledRun(scheduled_operation_id="s", project_id="p", state="missed", **times)

    def key(name, created_at):
        return IdempotencyKey(project_id="p", key=name, fingerprint="f", resource_id="r", created_at=created_at)

    _add(database, run(old), run(young), _operation(old), _operation(young), key("old", old), key("young", young))
    report = purge.purge(database, DAYS)
    assert report == purge.PurgeReport(operations=1, scheduled_runs=1, idempotency_keys=1)

    _add(database, key("of five days", now - timedelta(days=5)), key("of eight days", now - timedelta(days=8)))
    assert purge.purge(database, 1).idempotency_keys == 2
    with database.reader() as session:
        assert session.execute(sa.select(IdempotencyKey.key)).scalars().all() == ["of five days"]


def test_batches_are_small_and_what_stays_does_not_stop_them(database, old, monkeypatch):
    monkeypatch.setattr(purge, "BATCH", 7)
    rows = [_checkpoint(old, **({"deleted_at": old, "status": "deleted"} if n % 3 else {})) for n in range(60)]
    keys = [
        IdempotencyKey(project_id=f"p{n % 4}", key=str(n), fingerprint="f", resource_id="r", created_at=old)
        for n in range(23)
    ]
    _add(database, *rows, *keys)
    sizes = []

    def seen(connection, cursor, statement, parameters, context, many):
        if statement.startswith("DELETE"):
            sizes.append(cursor.rowcount)

    sa.event.listen(database.engine, "after_cursor_execute", seen)
    try:
        report = purge.purge(database, DAYS)
    finally:
        sa.event.remove(database.engine, "after_cursor_execute", seen)
    assert (report.checkpoints, report.idempotency_keys) == (40, 23)
    assert max(sizes) == 7
    assert sum(sizes) == 63
    assert len(_ids(database, Checkpoint)) == 20


def test_a_dry_run_counts_what_a_run_removes_and_removes_nothing(database, old, young):
    checkpoint = _checkpoint(old, status="deleted", deleted_at=old)
    restore = _request(Restore, old, checkpoint_id=checkpoint.id)
    _add(database, checkpoint, restore, _checkpoint(young))
    _add(database, _operation(old, checkpoint_id=checkpoint.id))
    _add(database, _operation(old, checkpoint_id=checkpoint.id, restore_id=restore.id))
    before = _counts(database)
    counted = purge.purge(database, DAYS, dry_run=True)
    assert counted == purge.PurgeReport(checkpoints=1, restores=1, operations=2)
    assert _counts(database) == before
    assert purge.purge(database, DAYS) == counted
    assert purge.purge(database, DAYS) == purge.PurgeReport()
