"""The scheduler on every database: each due time becomes one run, regardless of the number of engines and of delays."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception

from karbor_like.clock import ManualClock
from karbor_like.conf import operationengine as options
from karbor_like.conf import trigger as trigger_options
from karbor_like.db import scheduled_runs
from karbor_like.db.models import Operation, ScheduledOperation, ScheduledRun
from karbor_like.db.models.base import new_id
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.triggers import loader
from tests.fixtures.metrics import Growth

START = datetime(2031, 3, 1, tzinfo=UTC)
HOURLY = {"format": "crontab", "pattern": "0 * * * *", "start_time": "2031-03-01 00:00:00", "window": 900}

TYPES = loader.trigger_types()
TIME = TYPES["time"]


@pytest.fixture
def clock():
    return ManualClock(START)


def _conf(**values):
    conf = cfg.ConfigOpts()
    for group in (options, trigger_options):
        conf.register_opts(group.OPTS, group=group.GROUP)
    conf([])
    for name, value in values.items():
        conf.set_override(name, value, group="operationengine")
    return conf


@pytest.fixture
def scheduler(database, clock):
    return Scheduler(_conf(batch=3), database, clock, TYPES)


def _trigger(database, count=1, properties=HOURLY, operations=1, **values):
    def work(session):
        created = []
        for number in range(count):
            row = TRIGGERS.insert(
                session,
                project_id="p",
                name=f"t{number}",
                type="time",
                properties=properties,
                next_run_at=TIME.parse(properties).next(START),
            )
            for _ in range(operations):
                SCHEDULED_OPERATIONS.insert(
                    session,
                    project_id="p",
                    user_id="u",
                    name="o",
                    operation_type="protect",
                    trigger_id=row.id,
                    plan_id="plan",
                    operation_definition={"provider_id": "x", "plan_id": "plan"},
                    **values,
                )
            created.append(row.id)
        return created

    return database.write(work)


def _runs(database):
    with database.reader() as session:
        return session.execute(sa.select(ScheduledRun).order_by(ScheduledRun.due_at, ScheduledRun.id)).scalars().all()


def _end_all(database, clock):
    def work(session):
        values = {"state": scheduled_runs.SUCCEEDED, "ended_at": clock.now(), "next_look_at": None}
        session.execute(sa.update(ScheduledRun).where(ScheduledRun.state == scheduled_runs.STARTED).values(values))

    database.write(work)


def test_nothing_fires_before_it_is_due(database, scheduler, clock):
    _trigger(database)
    clock.advance(3599)
    assert scheduler.fire() == 0
    assert _runs(database) == []


def test_a_due_trigger_fires_once_and_gets_its_next_time(database, scheduler, clock):
    (trigger,) = _trigger(database, operations=2)
    clock.advance(3601)
    assert scheduler.fire() == 1
    assert scheduler.fire() == 0
    runs = _runs(database)
    assert [(run.due_at, run.state) for run in runs] == [(START + timedelta(hours=1), "started")] * 2
    assert {run.window_ends_at for run in runs} == {START + timedelta(hours=1, minutes=15)}
    with database.reader() as session:
        assert TRIGGERS.get(session, trigger).next_run_at == START + timedelta(hours=2)


def test_a_run_is_skipped_and_logged_while_the_previous_one_has_not_ended(database, scheduler, clock):
    _trigger(database)
    clock.advance(3601)
    scheduler.fire()
    clock.advance(3600)
    scheduler.fire()
    first, second = _runs(database)
    assert (first.state, second.state) == ("started", "skipped")
    assert first.due_at.isoformat() in second.reason
    with database.reader() as session:
        (entry,) = session.execute(sa.select(Operation)).scalars().all()
    assert entry.error_info.startswith("skipped: ")
    assert (entry.status, entry.scheduled_operation_id) == ("error", second.scheduled_operation_id)


def test_due_times_of_an_outage_are_missed_except_for_one_within_its_window(database, scheduler, clock):
    growth = Growth(("karbor_like_scheduled_runs_total", {"state": "missed"}))
    _trigger(database)
    clock.advance(5 * 3600 + 60)
    scheduler.fire()
    assert growth.values == [4]
    runs = _runs(database)
    assert [run.state for run in runs] == ["missed"] * 4 + ["started"]
    assert "late" in runs[0].reason
    assert [run.due_at for run in runs] == [START + timedelta(hours=hour) for hour in range(1, 6)]


def test_a_long_outage_is_recorded_in_bounded_space_and_counted_completely(database, clock):
    _trigger(database)
    clock.advance(100 * 3600 + 60)
    Scheduler(_conf(max_missed=10), database, clock, TYPES).fire()
    runs = _runs(database)
    assert [run.state for run in runs] == ["missed"] * 9 + ["started"]
    assert runs[-1].due_at == START + timedelta(hours=100)
    assert "90 more due times" in runs[0].reason


def test_a_trigger_without_a_window_has_the_smallest_allowed_window(database, scheduler, clock):
    _trigger(database, properties={name: value for name, value in HOURLY.items() if name != "window"})
    clock.advance(3600 + 899)
    scheduler.fire()
    (run,) = _runs(database)
    assert (run.state, run.window_ends_at - run.due_at) == ("started", timedelta(seconds=900))


def test_a_due_time_cannot_be_recorded_twice(database, scheduler, clock):
    _trigger(database)
    clock.advance(3601)
    scheduler.fire()
    (run,) = _runs(database)
    names = ("scheduled_operation_id", "project_id", "due_at", "window_ends_at", "state", "created_at")
    duplicate = {name: getattr(run, name) for name in names}
    with pytest.raises(db_exception.DBDuplicateEntry):
        database.write(lambda session: scheduled_runs.record(session, [duplicate]))
    assert len(_runs(database)) == 1


def test_a_disabled_operation_does_not_run(database, scheduler, clock):
    _trigger(database, enabled=False)
    clock.advance(3601)
    assert scheduler.fire() == 1
    assert _runs(database) == []


def test_a_trigger_ends_at_its_end(database, scheduler, clock):
    (trigger,) = _trigger(database, properties={**HOURLY, "end_time": "2031-03-01 02:00:00"})
    for _ in range(4):
        clock.advance(3600)
        scheduler.fire()
        _end_all(database, clock)
    assert [run.due_at.hour for run in _runs(database)] == [1, 2]
    with database.reader() as session:
        assert TRIGGERS.get(session, trigger).next_run_at is None


def test_nothing_fires_again_after_the_clock_was_set_back(database, scheduler, clock):
    _trigger(database)
    clock.advance(3601)
    scheduler.fire()
    clock.step(-1800)
    assert scheduler.fire() == 0
    clock.advance(1801)
    assert scheduler.fire() == 0
    assert len(_runs(database)) == 1


def test_a_due_time_that_is_already_recorded_does_not_block_other_triggers(database, scheduler, clock):
    """The clock is set back, and the trigger is updated meanwhile, which computes the same due time again."""
    first, second = _trigger(database, count=2)
    clock.advance(3601)
    assert scheduler.fire() == 2
    _end_all(database, clock)
    clock.step(-1800)
    database.write(lambda session: TRIGGERS.update(session, first, {"next_run_at": START + timedelta(hours=1)}))
    clock.advance(1801)
    assert scheduler.fire() == 1
    assert len(_runs(database)) == 2
    clock.advance(3600)
    assert scheduler.fire() == 2
    assert [run.due_at.hour for run in _runs(database)] == [1, 1, 2, 2]
    with database.reader() as session:
        assert session.execute(sa.select(sa.func.count(Operation.id))).scalar_one() == 0, (
            "nothing was missed or skipped"
        )


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"pattern": "nonsense"}, "'nonsense' has 1 fields"),
        (
            {"format": "calendar", "pattern": "BEGIN:VEVENT\nRRULE:FREQ=YEARLY;BYWEEKNO=53\nEND:VEVENT"},
            "BYWEEKNO=53 is not",
        ),
        ({"pattern": "0 1 13 * 1#2"}, "weekday '1#2' cannot be combined"),
    ],
)
def test_a_trigger_with_invalid_properties_stops_and_says_why(database, scheduler, clock, caplog, properties, said):
    """As an earlier version may have accepted."""
    trigger, other = _trigger(database, count=2)
    database.write(lambda session: TRIGGERS.update(session, trigger, {"properties": {**HOURLY, **properties}}))
    clock.advance(3601)
    assert scheduler.fire() == 2
    failed, started = sorted(_runs(database), key=lambda run: run.state)
    assert (failed.state, started.state) == ("failed", "started")
    assert failed.reason.startswith(f"trigger {trigger} is invalid and does not fire until its properties are changed")
    assert said in failed.reason
    assert caplog.messages == [failed.reason]
    with database.reader() as session:
        (entry,) = session.execute(sa.select(Operation)).scalars().all()
        assert entry.error_info == f"failed: {failed.reason}"
        assert TRIGGERS.get(session, trigger).next_run_at is None
    assert scheduler.fire() == 0


def test_concurrent_engines_record_each_run_once(database, clock):
    _trigger(database, count=40)
    clock.advance(3601)
    engines = [Scheduler(_conf(batch=7), database, clock, TYPES) for _ in range(4)]
    barrier = threading.Barrier(len(engines))

    def fire(engine):
        barrier.wait()
        for _ in range(20):
            engine.fire()

    threads = [threading.Thread(target=fire, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = _runs(database)
    assert len(runs) == 40
    assert len({run.scheduled_operation_id for run in runs}) == 40


# Runs that a user asks for


def _start_now(session, clock):
    operation = session.execute(sa.select(ScheduledOperation).with_for_update()).scalar_one()
    return scheduled_runs.start_now(session, new_id(), operation, clock.now(), timedelta(seconds=900))


def test_a_run_that_is_asked_for_while_one_is_unfinished_is_skipped(database, scheduler, clock):
    _trigger(database)
    clock.advance(3601)
    scheduler.fire()
    database.write(lambda session: _start_now(session, clock))
    assert [run.state for run in _runs(database)] == ["started", "skipped"]
    _end_all(database, clock)
    database.write(lambda session: _start_now(session, clock))
    runs = _runs(database)
    assert [run.state for run in runs] == ["succeeded", "skipped", "started"]
    assert runs[2].due_at == runs[1].due_at + datetime.resolution


def test_a_due_time_at_which_a_user_ran_the_operation_does_not_run_again(database, scheduler, clock):
    (trigger,) = _trigger(database)
    clock.advance(3600)
    database.write(lambda session: _start_now(session, clock))
    _end_all(database, clock)
    assert scheduler.fire() == 1
    assert [run.state for run in _runs(database)] == ["succeeded"]


def test_a_scheduler_waits_for_a_run_that_is_being_recorded(database, scheduler, clock, waits_in_transactions):
    _trigger(database)
    clock.advance(3601)
    firing = threading.Thread(target=scheduler.fire)
    waits = threading.Event()

    def note(connection, cursor, statement, *rest):
        # SQLite has one lock for everything, which a transaction takes when it begins.
        if threading.current_thread() is firing and statement.startswith(("BEGIN", "SELECT scheduled_operations")):
            waits.set()

    sa.event.listen(database.engine, "before_cursor_execute", note)
    with database.writer() as session:
        _start_now(session, clock)
        firing.start()
        assert waits.wait(30)
    waits_in_transactions.clear()
    firing.join()
    sa.event.remove(database.engine, "before_cursor_execute", note)
    assert sorted(run.state for run in _runs(database)) == ["skipped", "started"]
