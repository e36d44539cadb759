from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.db import checkpoints, operations, queues
from karbor_like.db import session as db_session
from karbor_like.db.models import Base, base
from karbor_like.db.operations import OPERATIONS


def _enqueue(database, *projects, provider="x"):
    def work(session):
        return [
            OPERATIONS.insert(
                session, operation_type="protect", project_id=project, provider_id=provider, status="protecting"
            ).id
            for project in projects
        ]

    return database.write(work)


def _due(database, limit=100, providers=("x",), limits=operations.UNLIMITED, **more):
    with database.reader() as session:
        return operations.due(session, limit, providers, limits, **more)


def _waiting(database):
    with database.reader() as session:
        return operations.waiting_for_others(session, ["x"])


def _claim(database, row, owner="me", lease=30.0, limits=operations.UNLIMITED):
    return database.write(lambda session: operations.claim(session, row, owner, lease, limits))


def _expire(database, operation_id):
    def work(session):
        past = db_session.now(session) - timedelta(seconds=1)
        OPERATIONS.update(session, operation_id, {"lease_until": past})

    database.write(work)


def test_an_operation_is_claimed_by_exactly_one_of_many(database):
    _enqueue(database, *["p"] * 5)
    seen = _due(database)
    with ThreadPoolExecutor(8) as pool:
        claims = list(
            pool.map(lambda pair: _claim(database, *pair), [(row, f"o{n}") for n in range(8) for row in seen])
        )
    won = [claim for claim in claims if claim]
    assert sorted(claim.operation_id for claim in won) == sorted(row.id for row in seen)
    assert _due(database) == []


def test_projects_take_turns(database):
    _enqueue(database, "busy", "busy", "busy", "busy", "idle", "idle")
    order = [row.project_id for row in _due(database)]
    assert order == ["busy", "idle", "busy", "idle", "busy", "busy"]


def test_a_project_with_running_operations_waits_behind_an_idle_one(database):
    _enqueue(database, "busy", "busy", "idle")
    assert _claim(database, _due(database)[0])
    assert [row.project_id for row in _due(database)] == ["idle", "busy"]


class _Queue:
    """A service with one slot, on a database whose operations start a minute apart."""

    def __init__(self, database):
        self._database = database
        self._minutes = 0

    def run_next(self, limits=operations.UNLIMITED, **more):
        """Claim the next operation and return its project."""
        row = _due(self._database, 1, limits=limits, **more)[0]
        held = _claim(self._database, row, limits=limits)
        self._minutes += 1
        at = datetime(2031, 1, 1, tzinfo=UTC) + timedelta(minutes=self._minutes)
        self._database.write(lambda session: OPERATIONS.update(session, row.id, {"started_at": at}))
        return row.project_id, held

    def finish(self, held):
        assert self._database.write(lambda session: operations.finish(session, held, "available"))

    def order(self, count):
        """The projects whose operations run, one after the other."""
        found = []
        for _ in range(count):
            project, held = self.run_next()
            found.append(project)
            self.finish(held)
        return found


def test_one_operation_does_not_wait_behind_a_hundred_of_another_project(database):
    queue = _Queue(database)
    _enqueue(database, *["busy"] * 100)
    project, held = queue.run_next()
    assert project == "busy"
    _enqueue(database, "idle")
    queue.finish(held)
    # Both have no running operation now. The queue remembers whose turn it was.
    assert queue.order(3) == ["idle", "busy", "busy"]


def test_projects_take_turns_also_with_one_slot(database):
    _enqueue(database, *["a"] * 5, *["b"] * 2, "c")
    order = _Queue(database).order(8)
    assert (sorted(order[:3]), sorted(order[3:5]), order[5:]) == (["a", "b", "c"], ["a", "b"], ["a"] * 3)


@pytest.mark.parametrize("limits", [operations.Limits(per_project=2), operations.Limits(per_provider={"x": 2})])
def test_services_keep_a_limit_together(database, limits):
    _enqueue(database, *["p"] * 6)
    seen = _due(database, limits=limits)
    assert len(seen) == 6
    # Each service saw all of them before any of them was claimed.
    with ThreadPoolExecutor(6) as pool:
        claims = list(pool.map(lambda row: _claim(database, row, limits=limits), seen))
    won = [claim for claim in claims if claim]
    assert len(won) == 2
    assert _due(database, limits=limits) == []
    assert database.write(lambda session: operations.finish(session, won[0], "available"))
    due = _due(database, limits=limits)
    assert [bool(_claim(database, row, limits=limits)) for row in due] == [True, False, False, False]


def test_a_project_and_a_provider_without_room_do_not_hold_up_others(database):
    limits = operations.Limits(per_project=2, per_provider={"y": 1})
    _enqueue(database, *["p"] * 3)
    _enqueue(database, "q", "q", provider="y")
    _enqueue(database, "q", "r")
    claimed = []
    while due := _due(database, 1, ("x", "y"), limits):
        assert _claim(database, due[0], limits=limits)
        claimed.append((due[0].project_id, due[0].provider_id))
    assert sorted(claimed) == [("p", "x"), ("p", "x"), ("q", "x"), ("q", "y"), ("r", "x")]


def test_limits_do_not_hold_up_deletions_nor_what_is_cancelled(database):
    limits = operations.Limits(per_project=1, per_provider={"x": 1})
    running, first, second, cancelled = _enqueue(database, *["p"] * 4)
    (row,) = _due(database, 1, limits=limits)
    assert row.id == running
    assert _claim(database, row, limits=limits)
    assert _due(database, limits=limits) == []

    def change(session):
        OPERATIONS.update(session, second, {"operation_type": "delete"})
        assert operations.request_cancel(session, cancelled)

    database.write(change)
    due = _due(database, limits=limits)
    assert [row.id for row in due] == [cancelled, second], "what is cancelled only ends, so it comes first"
    assert [row.id for row in _due(database, only_short=True)] == [cancelled, second]
    assert all(_claim(database, row, limits=limits) for row in due)
    assert first not in [row.id for row in _due(database, limits=limits)]


def test_operations_that_have_lost_their_processes_continue_within_a_lower_limit(database):
    _enqueue(database, *["p"] * 3)
    for row in _due(database):
        assert _claim(database, row)
        _expire(database, row.id)
    limits = operations.Limits(per_project=1)
    rows = _due(database, limits=limits)
    assert len(rows) == 3
    assert [bool(_claim(database, row, limits=limits)) for row in rows] == [True, False, False]


def test_operations_that_have_lost_their_processes_leave_room_while_nobody_can_continue_them(database):
    _enqueue(database, "p", "p", provider="y")
    for row in _due(database, providers=["y"]):
        assert _claim(database, row)
        _expire(database, row.id)
    _enqueue(database, "p", "p")
    both, one = (operations.Limits(per_project=2, loaded=loaded) for loaded in (("x", "y"), ("x",)))
    rows = _due(database, limits=one)
    assert [bool(_claim(database, row, limits=both)) for row in rows] == [False, False], "they continue first"
    assert [bool(_claim(database, row, limits=one)) for row in rows] == [True, True]
    assert _due(database, providers=("x", "y"), limits=both) == []


def test_what_a_request_holds_does_not_count(database):
    def make(session):
        row = OPERATIONS.insert(session, operation_type="protect", project_id="p", provider_id="x", status="protecting")
        return operations.hold(session, row, "an endpoint", 30.0)

    database.write(make)
    _enqueue(database, "p")
    limits = operations.Limits(per_project=1)
    (row,) = _due(database, limits=limits)
    assert _claim(database, row, limits=limits)


def test_positions_follow_the_order_in_which_operations_run(database):
    ids = _enqueue(database, *["a"] * 3, "b", "b", "c")
    with database.reader() as session:
        found = queues.positions(session, [*ids[1:], "unknown"])
    order = [row.id for row in _due(database)]
    assert found == {key: queues.Position(order.index(key) + 1, 6) for key in ids[1:]}
    assert _claim(database, _due(database, 1)[0])
    with database.reader() as session:
        found = queues.positions(session, ids)
    assert order[0] not in found
    assert sorted(place.position for place in found.values()) == [1, 2, 3, 4, 5]


def test_operations_of_a_provider_that_is_not_loaded_do_not_block_others(database):
    elsewhere = _enqueue(database, "busy", "idle", provider="y")
    here = _enqueue(database, "busy", "idle")
    assert [row.id for row in _due(database, limit=2)] == here
    assert _waiting(database) == dict.fromkeys(elsewhere, "y")
    assert _due(database, providers=[]) == []
    held = _claim(database, _due(database, providers=["y"])[0])
    assert list(_waiting(database)) == elsewhere[1:], "what runs does not wait"
    _expire(database, held.operation_id)
    assert set(_waiting(database)) == set(elsewhere)


def test_a_cancelled_operation_needs_its_provider_only_to_delete_what_it_created(database):
    nothing, deleted, something, wanted = _enqueue(database, *["p"] * 4, provider="y")

    def make(session, operation, **values):
        operations.intend(session, operation, "T#1", "snapshot", name="a", keep=False)
        operations.note(session, operation, "T#1", "snapshot", **values)

    database.write(lambda session: make(session, deleted, gone=True))
    database.write(lambda session: make(session, something, cloud_id="s-1"))
    for operation in (nothing, deleted, something):
        database.write(lambda session, operation=operation: operations.request_cancel(session, operation))
    assert {row.id for row in _due(database)} == {nothing, deleted}
    assert _waiting(database) == {something: "y", wanted: "y"}


def test_an_expired_lease_is_taken_over_and_the_old_owner_finds_out(database):
    (operation,) = _enqueue(database, "p")
    old = _claim(database, _due(database)[0], "old")
    assert _due(database) == []
    _expire(database, operation)
    new = _claim(database, _due(database)[0], "new")
    assert new.epoch == old.epoch + 1
    assert not database.write(lambda session: operations.renew(session, old, 30))
    assert not database.write(lambda session: operations.finish(session, old, "available"))
    with pytest.raises(exception.LeaseLost, match="no longer held by old"):
        database.write(lambda session: operations.check(session, old))
    assert database.write(lambda session: operations.renew(session, new, 30))
    assert database.write(lambda session: operations.check(session, new)).attempts == 2


def test_an_operation_whose_lease_was_renewed_meanwhile_is_not_taken_over(database):
    (operation,) = _enqueue(database, "p")
    owner = _claim(database, _due(database)[0], "owner")
    _expire(database, operation)
    (seen,) = _due(database)
    assert database.write(lambda session: operations.renew(session, owner, 30))
    assert _claim(database, seen, "another") is None
    assert database.write(lambda session: operations.check(session, owner)).owner == "owner"


def test_the_end_of_an_operation_removes_its_credential(database):
    (operation,) = _enqueue(database, "p")
    database.write(lambda session: OPERATIONS.update(session, operation, {"credential": "encrypted"}))
    held = _claim(database, _due(database)[0])
    assert database.write(lambda session: operations.finish(session, held, "error", "the volume was deleted"))
    with database.reader() as session:
        row = OPERATIONS.get(session, operation)
    assert (row.queue_state, row.status, row.credential, row.error_info) == (
        "done",
        "error",
        None,
        "the volume was deleted",
    )
    assert row.ended_at >= row.started_at
    assert not database.write(lambda session: operations.request_cancel(session, operation))


def test_a_released_operation_is_due_again(database):
    _enqueue(database, "p")
    held = _claim(database, _due(database)[0])
    assert database.write(lambda session: operations.release(session, held))
    assert [row.id for row in _due(database)] == [held.operation_id]


def _interrupt(database, held, pause=None):
    """Interrupt an attempt. Returns the number of interruptions, and the seconds until the next attempt."""

    def work(session):
        operations.interrupt(session, held, pause)
        row = OPERATIONS.get(session, held.operation_id)
        left = None if row.lease_until is None else (row.lease_until - db_session.now(session)).total_seconds()
        return row.interruptions, left

    return database.write(work)


def test_the_pauses_between_interrupted_attempts_grow(database):
    _enqueue(database, "p")
    held = _claim(database, _due(database)[0], lease=30)
    for count in (1, 2, 3):
        interruptions, left = _interrupt(database, held, 100)
        assert interruptions == count
        assert left == pytest.approx(100 * count, abs=20)
    for _ in range(9):
        _, left = _interrupt(database, held, 100)
    assert left == pytest.approx(600, abs=20)


def test_an_interruption_without_a_pause_leaves_the_lease(database):
    _enqueue(database, "p")
    held = _claim(database, _due(database)[0], lease=3000)
    interruptions, left = _interrupt(database, held)
    assert interruptions == 1
    assert left == pytest.approx(3000, abs=200)


def test_an_interruption_counts_after_the_claim_is_lost_and_changes_nothing_else(database):
    (operation,) = _enqueue(database, "p")
    lost = _claim(database, _due(database)[0])
    _expire(database, operation)
    present = _claim(database, _due(database)[0], "you", 3000)
    interruptions, left = _interrupt(database, lost, 1)
    assert interruptions == 1
    assert left == pytest.approx(3000, abs=200)
    assert database.write(lambda session: operations.check(session, present)).attempts == 2
    assert database.write(lambda session: operations.finish(session, present, "available"))
    assert _interrupt(database, present, 1) == (1, None), "it has ended"


def test_the_journal_remembers_what_was_intended(database):
    (operation,) = _enqueue(database, "p")

    def intend(role):
        return database.write(
            lambda session: operations.intend(session, operation, "T#1", role, name=f"n-{role}", keep=False).cloud_id
        )

    assert intend("snapshot") is None
    database.write(lambda session: operations.note(session, operation, "T#1", "snapshot", cloud_id="s-1"))
    assert intend("snapshot") == "s-1"
    assert intend("volume") is None
    with database.reader() as session:
        assert [entry.role for entry in operations.journal(session, operation, "T#1")] == ["snapshot", "volume"]
        assert operations.journal(session, operation, "T#2") == []
    database.write(lambda session: operations.note(session, operation, "T#1", "snapshot", gone=True))
    with database.reader() as session:
        assert [entry.role for entry in operations.journal(session, operation)] == ["volume"]
    assert intend("snapshot") is None
    with pytest.raises(exception.NotFound, match="'image'"):
        database.write(lambda session: operations.note(session, operation, "T#1", "image", gone=True))


def test_resources_are_counted_per_operation(database):
    first, second = _enqueue(database, "p", "p")
    database.write(lambda session: operations.set_resource(session, first, "T#1", status="protecting", bytes_done=1))
    database.write(lambda session: operations.set_resource(session, first, "T#1", bytes_done=2**40, bytes_total=2**41))
    with database.reader() as session:
        (row,) = operations.resources_of(session, [first, second])
    assert (row.status, row.bytes_done, row.bytes_total) == ("protecting", 2**40, 2**41)


def _copy(database, number, **values):
    """Insert a copy that was requested *number* seconds after the first one."""

    def work(session):
        values.setdefault("plan_id", "a plan")
        values.setdefault("checkpoint_id", f"copy-{number}")
        row = OPERATIONS.insert(
            session,
            operation_type="copy",
            project_id="p",
            provider_id="x",
            status="wait_copying",
            source_checkpoint_id=f"source-{number}",
            created_at=datetime(2031, 5, 1, second=number, tzinfo=UTC),
            **values,
        )
        return row.id

    return database.write(work)


def test_copies_of_a_plan_run_one_after_the_other(database):
    second, first = _copy(database, 2), _copy(database, 1)
    other = _copy(database, 3, plan_id="another plan")
    assert {row.id for row in _due(database)} == {first, other}
    held = _claim(database, next(row for row in _due(database) if row.id == first))
    assert [row.id for row in _due(database)] == [other]
    database.write(lambda session: operations.finish(session, held, "error", "no room"))
    assert {row.id for row in _due(database)} == {second, other}


def test_a_copy_uses_its_source_too(database):
    operation = _copy(database, 1)
    with database.reader() as session:
        for used in ("copy-1", "source-1"):
            assert [row.id for row in operations.using(session, used)] == [operation]
        assert checkpoints.in_use(session, ["source-1", "copy-1", "other"]) == {
            "source-1": "copy is running",
            "copy-1": "copy is running",
        }
    held = _claim(database, _due(database)[0])
    database.write(lambda session: operations.finish(session, held, "available"))
    with database.reader() as session:
        assert operations.using(session, "source-1") == []
        assert checkpoints.in_use(session, ["source-1", "copy-1"]) == {}


def test_a_reason_that_is_too_long_is_cut(database):
    """One that names what each of 2000 resources left in the cloud, each character as long as any."""
    reason = "\U0001f4be" * 200_000

    def work(session):
        operation_id = OPERATIONS.insert(
            session, operation_type="restore", project_id="p", provider_id="x", status="fail"
        ).id
        OPERATIONS.update(session, operation_id, {"error_info": reason})
        operations.set_resource(session, operation_id, "Type#1", reason=reason)
        return operation_id

    operation_id = database.write(work)
    with database.reader() as session:
        (resource,) = operations.resources_of(session, [operation_id])
        stored = {OPERATIONS.get(session, operation_id).error_info, resource.reason}
    assert stored == {reason[: base.MAX_REASON]}


def test_every_reason_has_the_type_that_cuts_it():
    texts = {
        str(column)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.Text) and column.type is not base.LongText
    }
    assert texts == {"schedule_trusts.keystone_id"}, "what else is shown must be of type Reason"
