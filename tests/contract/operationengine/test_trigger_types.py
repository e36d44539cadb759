"""The scheduler fires triggers of any type; a trigger whose plugin is missing or fails does not block others."""

import logging
from datetime import timedelta

import pytest

from karbor_like.db.triggers import TRIGGERS
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.triggers.time import TimeTrigger
from tests.contract.operationengine.test_scheduler import HOURLY, START, TYPES, _conf, _end_all, _runs, _trigger, clock
from tests.fixtures.event_trigger import EventTrigger

__all__ = ["clock"]


def _set(database, trigger_id, **values):
    database.write(lambda session: TRIGGERS.update(session, trigger_id, values))


def _next(database, trigger_id):
    with database.reader() as session:
        return TRIGGERS.get(session, trigger_id).next_run_at


def test_a_trigger_without_a_next_time_fires_once_for_each_event(database, clock):
    (trigger,) = _trigger(database)
    _set(database, trigger, type="event", properties={"topic": "t"}, next_run_at=None)
    engine = Scheduler(_conf(), database, clock, {**TYPES, "event": EventTrigger()})
    assert engine.fire() == 0
    for number in range(1, 3):
        clock.advance(10)
        happened = clock.now()
        _set(database, trigger, next_run_at=happened)
        assert (engine.fire(), engine.fire()) == (1, 0)
        run = _runs(database)[-1]
        assert (len(_runs(database)), run.state, run.due_at) == (number, "started", happened)
        assert run.window_ends_at == happened + timedelta(seconds=900), "the smallest allowed window"
        assert _next(database, trigger) is None
        _end_all(database, clock)


def _broken(pattern, zone):
    raise KeyError("a bug")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"type": "event"}, "type: 'event' is not one of 'time'"),
        ({"properties": {**HOURLY, "format": "lunar"}}, "'lunar' is not one of"),
        ({"properties": {**HOURLY, "format": "broken"}}, "KeyError('a bug')"),
    ],
)
def test_a_trigger_waits_for_its_plugin_without_blocking_others(database, clock, caplog, values, said):
    waiting, *others = _trigger(database, count=7)
    _set(database, waiting, **values)
    formats = TYPES["time"]._formats
    lacking = Scheduler(_conf(batch=2), database, clock, {"time": TimeTrigger({**formats, "broken": _broken})})
    clock.advance(3601)
    caplog.set_level(logging.ERROR)
    assert lacking.fire() == len(others)
    assert lacking.fire() == 0
    (line,) = caplog.messages
    assert (waiting in line, said in line) == (True, True), "it is logged once, not at every poll"
    assert len(_runs(database)) == len(others)
    assert _next(database, waiting) == START + timedelta(hours=1)

    types = {
        "time": TimeTrigger(dict.fromkeys([*formats, "lunar", "broken"], formats["crontab"])),
        "event": TYPES["time"],
    }
    assert Scheduler(_conf(batch=2), database, clock, types).fire() == 1
    assert [run.state for run in _runs(database)] == ["started"] * 7


def test_others_can_write_while_due_times_are_computed(database, clock):
    changed, other = _trigger(database, count=2)
    later = START + timedelta(days=1)
    crontab = TYPES["time"]._formats["crontab"]

    def slow(pattern, zone):
        _set(database, changed, next_run_at=later)
        return crontab(pattern, zone)

    clock.advance(3601)
    assert Scheduler(_conf(), database, clock, {"time": TimeTrigger({"crontab": slow})}).fire() == 1
    (run,) = _runs(database)
    assert _next(database, changed) == later, "it is not fired for what was computed before the change"
    assert _next(database, other) == START + timedelta(hours=2)
    assert run.due_at == START + timedelta(hours=1)
