"""What a tenant can make the services compute with a calendar is bounded."""

import contextlib
from datetime import UTC, datetime

import pytest

from karbor_like import exception
from karbor_like.triggers import contract
from karbor_like.triggers.time import TimeTrigger
from tests.fixtures.work import calls

LIMITS = contract.Limits(3600, 900, 1800)
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
#: About 30 and 5 milliseconds.
MOST_TO_CHECK, MOST_TO_CONTINUE = 200_000, 30_000


def numbers(last: int, step: int = 1) -> str:
    return ",".join(map(str, range(0, last, step)))


ALL_DAY = f"BYHOUR={numbers(24)};BYMINUTE=0;BYSECOND=0"
EVERYTHING = f"BYHOUR={numbers(24)};BYMINUTE={numbers(60)};BYSECOND={numbers(60)}"
HOSTILE = {
    "all values": [f"FREQ={kind};{EVERYTHING};BYSETPOS=-1" for kind in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")],
    "positions of a year": [f"FREQ=YEARLY;BYDAY={','.join(DAYS)};{ALL_DAY};BYSETPOS=1,2,3,4,5,6,7,8,9,10,11,12"],
    "weeks of a year": [
        f"FREQ=YEARLY;BYWEEKNO={','.join(map(str, range(1, 52)))};BYDAY={','.join(DAYS)};{ALL_DAY};BYSETPOS=-1"
    ],
    "positions of a week": [f"FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR={numbers(24)};BYMINUTE={numbers(60, 6)};BYSETPOS=1"],
    "a count": [f"FREQ=YEARLY;BYDAY={','.join(DAYS)};{ALL_DAY};COUNT=10000"],
    "rules of days": [f"FREQ=WEEKLY;BYDAY={day};BYHOUR=1;BYMINUTE={7 * n}" for n, day in enumerate(DAYS)],
    "rules of months": [f"FREQ=YEARLY;BYMONTH={n};BYMONTHDAY={n};BYHOUR=1;BYMINUTE={5 * n}" for n in range(1, 9)],
    "rules of hours": [f"FREQ=HOURLY;INTERVAL=24;BYDAY={day};BYMINUTE={7 * n}" for n, day in enumerate(DAYS)],
    "leap days": [f"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY={day};BYHOUR=1" for day in DAYS],
    "rare days": ["FREQ=DAILY;INTERVAL=7;BYDAY=MO;BYMONTH=2;BYMONTHDAY=29;BYHOUR=1"],
    "steps": ["FREQ=MINUTELY;INTERVAL=61"],
    "never": ["FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31"],
    "centuries": ["FREQ=YEARLY;INTERVAL=99;BYMONTH=1;BYMONTHDAY=1"],
}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("start", ["1970-01-01 00:00:00", "2031-05-06 00:00:00"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_calendar_costs_little(name, start, zone):
    pattern = "\n".join(("BEGIN:VEVENT", *(f"RRULE:{rule}" for rule in HOSTILE[name]), "END:VEVENT"))
    properties = {"format": "calendar", "pattern": pattern, "start_time": start, "timezone": zone}
    # Nothing is cached in a new one.
    kind = TimeTrigger()
    accepted = []

    def check() -> None:
        with contextlib.suppress(exception.InvalidInput):
            accepted.append(kind.check(properties, LIMITS, NOW))

    assert calls(check) <= MOST_TO_CHECK
    for timing in accepted:
        assert calls(lambda timing=timing: timing.next(NOW)) <= MOST_TO_CONTINUE
