"""A year of triggers with both clock changes, fired by the scheduler under a simulated clock.

The expected times are computed independently, from the wall-clock time of every fifth minute of the year: all rules and clock
changes are at such times.
"""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from karbor_like.clock import ManualClock
from karbor_like.conf import operationengine as options
from karbor_like.conf import trigger as trigger_options
from karbor_like.db import migration
from karbor_like.db.models import ScheduledRun
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.triggers import loader
from tests.fixtures.database import open_database

START = datetime(2031, 1, 1, tzinfo=UTC)
END = datetime(2032, 1, 1, tzinfo=UTC)
ZONES = ["Europe/Berlin", "America/New_York"]
STEP = timedelta(minutes=5)
#: The weeks of the clock changes, in both zones: enough for rules that fire often.
WEEKS = [(datetime(2031, month, 1, tzinfo=UTC), datetime(2031, month + 1, 10, tzinfo=UTC)) for month in (3, 10)]
TYPES = loader.trigger_types()
TIME = TYPES["time"]


def _calendar(rule: str) -> dict[str, str]:
    return {"format": "calendar", "pattern": f"BEGIN:VEVENT\r\nRRULE:{rule}\r\nEND:VEVENT"}


def _crontab(pattern: str) -> dict[str, str]:
    return {"format": "crontab", "pattern": pattern}


def _at(hour: int, minute: int, day: Callable[[datetime], bool] = lambda wall: True) -> Callable[[datetime], bool]:
    return lambda wall: (wall.hour, wall.minute) == (hour, minute) and day(wall)


#: Properties of a trigger, and the condition on the wall-clock time at which it should fire.
RULES = {
    "hourly": (_crontab("5 * * * *"), lambda wall: wall.minute == 5),
    "daily in the gap": (_crontab("30 2 * * *"), _at(2, 30)),
    "daily by calendar": (_calendar("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"), _at(2, 30)),
    "repeated hour": (_crontab("30 1 * * *"), _at(1, 30)),
    "sundays": (
        _calendar("FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=15;BYSECOND=0"),
        _at(2, 15, lambda w: w.weekday() == 6),
    ),
    "end of the month": (
        _calendar("FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=23;BYMINUTE=45;BYSECOND=0"),
        _at(23, 45, lambda w: (w + timedelta(days=1)).day == 1),
    ),
}


@functools.cache
def _minutes(zone: str) -> list[tuple[datetime, datetime]]:
    """Return every fifth minute of the year and its wall-clock time."""
    info, count = ZoneInfo(zone), int((END - START) / STEP)
    moments = (START + number * STEP for number in range(count + 1))
    return [(moment, moment.astimezone(info).replace(tzinfo=None)) for moment in moments]


@functools.cache
def _expected(rule: str, zone: str) -> list[datetime]:
    """Return the times at which the wall clock matches for the first time, and those of skipped matches, shifted."""
    _, matches = RULES[rule]
    expected, seen = set(), set()
    previous = _minutes(zone)[0][1] - STEP
    for moment, wall in _minutes(zone):
        jumped = int((wall - previous) / STEP) - 1
        for number in range(max(jumped, 0)):
            skipped = previous + (number + 1) * STEP
            if matches(skipped):
                expected.add(moment + number * STEP)
                seen.add(skipped)
        previous = wall
        if matches(wall) and wall not in seen:
            seen.add(wall)
            expected.add(moment)
    return sorted(moment for moment in expected if START < moment <= END)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("rule", RULES)
def test_the_pure_function_and_the_wall_clock_agree(rule, zone):
    properties, _ = RULES[rule]
    timing = TIME.parse({**properties, "start_time": "2031-01-01 00:00:00", "timezone": zone})
    for first, last in WEEKS if rule == "hourly" else [(START, END)]:
        fired, moment = [], timing.next(first)
        while moment is not None and moment <= last:
            fired.append(moment)
            moment = timing.next(moment)
        assert fired == [moment for moment in _expected(rule, zone) if first < moment <= last]


@pytest.fixture
def database(tmp_path):
    handle = open_database(f"sqlite:///{tmp_path}/year.sqlite")
    migration.sync(handle)
    yield handle
    handle.dispose()


def test_the_scheduler_records_each_time_of_the_year_once(database):
    conf = cfg.ConfigOpts()
    for group in (options, trigger_options):
        conf.register_opts(group.OPTS, group=group.GROUP)
    conf([])
    clock = ManualClock(START)
    scheduler = Scheduler(conf, database, clock, TYPES)
    wanted = {}

    def insert(session):
        for zone in ZONES:
            for rule in ("daily in the gap", "sundays", "end of the month"):
                properties, _ = RULES[rule]
                properties = {**properties, "start_time": "2031-01-01 00:00:00", "timezone": zone, "window": 900}
                row = TRIGGERS.insert(
                    session,
                    project_id="p",
                    name=rule,
                    type="time",
                    properties=properties,
                    next_run_at=TIME.parse(properties).next(START),
                )
                operation = SCHEDULED_OPERATIONS.insert(
                    session,
                    project_id="p",
                    user_id="u",
                    name=rule,
                    operation_type="protect",
                    trigger_id=row.id,
                    plan_id="plan",
                    operation_definition={"provider_id": "x", "plan_id": "plan"},
                )
                wanted[operation.id] = _expected(rule, zone)

    database.write(insert)
    while clock.now() <= END:
        # Sometimes several times are due, sometimes none.
        clock.advance(29 * 3600)
        scheduler.fire()
    with database.reader() as session:
        rows = session.execute(sa.select(ScheduledRun).where(ScheduledRun.due_at <= END)).scalars().all()
    recorded = {
        operation: sorted(r.due_at for r in rows if r.scheduled_operation_id == operation) for operation in wanted
    }
    assert recorded == wanted
    assert len(rows) > 2 * 365
