"""Listeners are notified once of each committed status change, regardless of how it was written."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from oslo_db import exception as db_exception

from karbor_like.db import changes, checkpoints, operations, scheduled_runs
from karbor_like.db.models import Checkpoint, Restore
from karbor_like.db.restores import RESTORES
from karbor_like.db.session import Database

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def notified(database: Database) -> list[changes.Change]:
    """The changes of which a listener was notified."""
    received: list[changes.Change] = []
    changes.watch(database, received.extend)
    return received


def _checkpoint(session, **values):
    return checkpoints.CHECKPOINTS.insert(
        session,
        **{
            "id": str(uuid.uuid4()),
            "project_id": "p",
            "provider_id": "v",
            "plan_id": "plan",
            "status": "protecting",
            "plan": {},
            "resource_graph": "[]",
            "extra_info": {},
            **values,
        },
    )


def _operation(session, of, **values):
    return operations.OPERATIONS.insert(
        session,
        operation_type="protect",
        project_id="p",
        provider_id="v",
        status="protecting",
        checkpoint_id=of.id,
        **values,
    )


def _seen(notified):
    return [(change.row.id, change.old, change.new) for change in notified]


def test_every_way_to_write_notifies_in_order(database, notified):
    created = database.write(_checkpoint)
    database.write(lambda session: checkpoints.move(session, created.id, "available", ["protecting"]))

    def assign(session):
        checkpoints.CHECKPOINTS.get(session, created.id, lock=True).update({"status": "deleting", "reason": None})

    database.write(assign)
    database.write(lambda session: checkpoints.move(session, created.id, "deleted", ["deleting"]))
    assert _seen(notified) == [
        (created.id, None, "protecting"),
        (created.id, "protecting", "available"),
        (created.id, "available", "deleting"),
        (created.id, "deleting", "deleted"),
    ]
    assert notified[-1].row.deleted_at is not None


def test_an_unchanged_status_does_not_notify(database, notified):
    created = database.write(_checkpoint)
    notified.clear()
    assert not database.write(lambda session: checkpoints.move(session, created.id, "available", ["deleting"]))
    assert database.write(lambda session: checkpoints.move(session, created.id, "protecting", ["protecting"]))
    assert database.write(lambda session: checkpoints.CHECKPOINTS.update(session, created.id, {"new_bytes": 5}))
    assert notified == []


def test_a_rolled_back_change_does_not_notify(database, notified):
    def fail(session):
        created = _checkpoint(session)
        checkpoints.move(session, created.id, "available", ["protecting"])
        raise RuntimeError("the flow is broken")

    with pytest.raises(RuntimeError):
        database.write(fail)
    assert notified == []


@pytest.mark.parametrize(
    "error", [db_exception.DBDeadlock(), db_exception.RetryRequest(db_exception.DBDuplicateEntry())]
)
def test_a_change_that_is_retried_notifies_once(database, notified, error):
    attempts = []

    def write(session):
        created = _checkpoint(session, id=str(uuid.UUID(int=7)))
        attempts.append(created.id)
        if len(attempts) < 3:
            raise error
        return created

    database.write(write)
    assert len(attempts) == 3
    assert _seen(notified) == [(str(uuid.UUID(int=7)), None, "protecting")]


def test_a_change_carries_its_operation_and_checkpoint(database, notified):
    def protect(session):
        created = _checkpoint(session)
        return created, _operation(session, created)

    checkpoint, operation = database.write(protect)
    assert notified[-1].operation.id == operation.id

    def restore(session):
        return RESTORES.insert(
            session, id=str(uuid.uuid4()), project_id="p", provider_id="v", checkpoint_id=checkpoint.id
        )

    request = database.write(restore)
    assert (notified[-1].row.id, notified[-1].operation, notified[-1].checkpoint.plan_id) == (request.id, None, "plan")

    def finish(session):
        RESTORES.update(session, request.id, {"status": "success"}, {"status": "in_progress"})
        _operation(session, checkpoint, restore_id=request.id)

    database.write(finish)
    assert (notified[-1].old, notified[-1].new) == ("in_progress", "success")
    assert notified[-1].operation.restore_id == request.id
    assert {type(change.row) for change in notified} == {Checkpoint, Restore}


def test_runs_notify_when_they_are_recorded_and_when_they_end(database, notified):
    run = {
        "scheduled_operation_id": str(uuid.uuid4()),
        "project_id": "p",
        "window_ends_at": NOW + timedelta(hours=1),
        "created_at": NOW,
    }
    recorded = [
        {**run, "due_at": NOW, "state": "started", "next_look_at": NOW},
        {**run, "due_at": NOW - timedelta(days=1), "state": "missed", "ended_at": NOW, "next_look_at": None},
    ]
    database.write(lambda session: scheduled_runs.record(session, recorded))
    assert [change.new for change in notified] == ["started", "missed"]
    (claimed,) = database.write(lambda session: scheduled_runs.claim(session, "me", NOW, 60, 10))
    assert database.write(lambda session: scheduled_runs.release(session, claimed, NOW, checkpoint_id="c"))
    assert database.write(lambda session: scheduled_runs.end(session, claimed, "succeeded", NOW))
    assert [(change.old, change.new) for change in notified[2:]] == [("started", "succeeded")]


def test_a_listener_that_fails_does_not_make_the_writer_fail(database, caplog):
    def broken(found):
        raise KeyError("a bug")

    changes.watch(database, broken)
    created = database.write(_checkpoint)
    with database.reader() as session:
        assert checkpoints.CHECKPOINTS.get(session, created.id).status == "protecting"
    assert "could not be reported" in caplog.text
