"""What is told of changes of state: each that was committed, once, whichever way it was written."""

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
def told(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[changes.Change]:
    """The changes that were told. The database may be shared with other tests: they are told only of their own."""
    found: list[changes.Change] = []
    here = [True]
    changes.watch(database, lambda given: found.extend(given) if here else None)
    yield found
    here.clear()


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


def _seen(told):
    return [(change.row.id, change.old, change.new) for change in told]


def test_every_way_to_write_is_told_in_order(database, told):
    made = database.write(_checkpoint)
    database.write(lambda session: checkpoints.move(session, made.id, "available", ["protecting"]))

    def assign(session):
        checkpoints.CHECKPOINTS.get(session, made.id, lock=True).update({"status": "deleting", "reason": None})

    database.write(assign)
    database.write(lambda session: checkpoints.move(session, made.id, "deleted", ["deleting"]))
    assert _seen(told) == [
        (made.id, None, "protecting"),
        (made.id, "protecting", "available"),
        (made.id, "available", "deleting"),
        (made.id, "deleting", "deleted"),
    ]
    assert told[-1].row.deleted_at is not None


def test_what_does_not_change_is_not_told(database, told):
    made = database.write(_checkpoint)
    told.clear()
    assert not database.write(lambda session: checkpoints.move(session, made.id, "available", ["deleting"]))
    assert database.write(lambda session: checkpoints.move(session, made.id, "protecting", ["protecting"]))
    assert database.write(lambda session: checkpoints.CHECKPOINTS.update(session, made.id, {"new_bytes": 5}))
    assert told == []


def test_nothing_is_told_of_what_was_rolled_back(database, told):
    def fail(session):
        made = _checkpoint(session)
        checkpoints.move(session, made.id, "available", ["protecting"])
        raise RuntimeError("the flow is broken")

    with pytest.raises(RuntimeError):
        database.write(fail)
    assert told == []


def test_what_is_written_again_after_a_deadlock_is_told_once(database, told):
    attempts = []

    def write(session):
        made = _checkpoint(session, id=str(uuid.UUID(int=7)))
        attempts.append(made.id)
        if len(attempts) < 3:
            raise db_exception.DBDeadlock
        return made

    database.write(write)
    assert len(attempts) == 3
    assert _seen(told) == [(str(uuid.UUID(int=7)), None, "protecting")]


def test_the_operation_and_the_checkpoint_come_along(database, told):
    def protect(session):
        made = _checkpoint(session)
        return made, _operation(session, made)

    checkpoint, operation = database.write(protect)
    assert told[-1].operation.id == operation.id

    def restore(session):
        return RESTORES.insert(
            session, id=str(uuid.uuid4()), project_id="p", provider_id="v", checkpoint_id=checkpoint.id
        )

    request = database.write(restore)
    assert (told[-1].row.id, told[-1].operation, told[-1].checkpoint.plan_id) == (request.id, None, "plan")

    def finish(session):
        RESTORES.update(session, request.id, {"status": "success"}, {"status": "in_progress"})
        _operation(session, checkpoint, restore_id=request.id)

    database.write(finish)
    assert (told[-1].old, told[-1].new) == ("in_progress", "success")
    assert told[-1].operation.restore_id == request.id
    assert {type(change.row) for change in told} == {Checkpoint, Restore}


def test_a_request_that_is_withdrawn(database, told):
    values = {"id": str(uuid.uuid4()), "project_id": "p", "provider_id": "v", "checkpoint_id": str(uuid.uuid4())}
    database.write(lambda session: RESTORES.insert(session, **values))
    assert database.write(lambda session: RESTORES.delete(session, values["id"]))
    assert _seen(told) == [(values["id"], None, "in_progress"), (values["id"], "in_progress", None)]


def test_runs_are_told_as_they_are_recorded_and_ended(database, told):
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
    assert [change.new for change in told] == ["started", "missed"]
    (claimed,) = database.write(lambda session: scheduled_runs.claim(session, "me", NOW, 60, 10))
    assert database.write(lambda session: scheduled_runs.leave(session, claimed, NOW, checkpoint_id="c"))
    assert database.write(lambda session: scheduled_runs.end(session, claimed, "succeeded", NOW))
    assert [(change.old, change.new) for change in told[2:]] == [("started", "succeeded")]


def test_a_listener_that_fails_does_not_make_the_writer_fail(database, caplog):
    def broken(found):
        raise KeyError("a bug")

    broken_once = [broken]
    changes.watch(database, lambda found: broken_once.pop()(found) if broken_once else None)
    made = database.write(_checkpoint)
    with database.reader() as session:
        assert checkpoints.CHECKPOINTS.get(session, made.id).status == "protecting"
    assert "could not be told" in caplog.text
