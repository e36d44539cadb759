import contextlib
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers import loader, time
from karbor_like.triggers.contract import Limits, NotInstalled
from karbor_like.triggers.formats import crontab

TIME = time.TimeTrigger(loader.time_formats())
LIMITS = Limits(min_interval=3600, min_window=900, max_window=1800)
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
START = "2030-01-01 00:00:00"


def properties(pattern: str, **more) -> dict:
    kind = "calendar" if "VEVENT" in pattern else "crontab"
    return {"format": kind, "pattern": pattern, "start_time": START, **more}


def event(rule: str) -> str:
    return f"BEGIN:VEVENT\nRRULE:{rule}\nEND:VEVENT"


def runs(asked: dict, count: int, after: datetime | None = NOW) -> list[str]:
    timing, times = TIME.parse(asked), []
    while len(times) < count and (after := timing.next(after)):
        times.append(after.strftime("%m-%d %H:%M"))
    return times


def test_the_first_run_is_the_first_match_after_now_and_start():
    asked = properties("0 1 * * *")
    assert runs(asked, 2) == ["01-02 01:00", "01-03 01:00"]
    later = properties("0 1 * * *", start_time="2030-02-01 01:00:01")
    assert runs(later, 1) == ["02-02 01:00"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/New_York"])
@pytest.mark.parametrize("pattern", ["0 * * * *", "0 * * * * 0", event("FREQ=HOURLY"), event("FREQ=HOURLY;BYMINUTE=0")])
def test_a_start_that_is_an_occurrence_is_the_first_run(pattern, zone):
    asked = properties(pattern, start_time="2030-02-01 01:00:00", timezone=zone)
    assert runs(asked, 2) == ["02-01 01:00", "02-01 02:00"]


def test_a_count_includes_the_start():
    asked = properties(event("FREQ=DAILY;COUNT=3"), start_time="2030-02-01 01:00:00")
    assert runs(asked, 9) == ["02-01 01:00", "02-02 01:00", "02-03 01:00"]


def test_a_start_that_has_passed_does_not_run():
    asked = properties("0 12 * * *", start_time=NOW.strftime(time.TIME_FORMAT))
    assert runs(asked, 1) == ["01-02 12:00"]


def test_the_times_before_a_start_do_not_run():
    asked = properties("BEGIN:VEVENT\nDTSTART:20200101T010000\nRRULE:FREQ=DAILY\nEND:VEVENT")
    assert runs(asked, 1, datetime(2029, 1, 1, tzinfo=UTC)) == ["01-01 01:00"]


def test_the_end_is_inclusive():
    assert runs(properties("0 1 * * *", end_time="2030-01-03 01:00:00"), 9) == ["01-02 01:00", "01-03 01:00"]


def test_both_formats_mean_the_same():
    assert runs(properties("30 2 * * 1"), 5) == runs(properties(event("FREQ=WEEKLY;BYDAY=MO;BYHOUR=2;BYMINUTE=30")), 5)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        # The clock is set from 2 to 3 on 31 March 2030, and from 3 to 2 on 27 October.
        ("30 2 * * *", ["03-30 01:30", "03-31 01:30", "04-01 00:30"]),
        ("0 3 * * *", ["03-30 02:00", "03-31 01:00", "04-01 01:00"]),
        ("0 */2 * * *", ["03-30 01:00", "03-30 03:00", "03-30 05:00"]),
    ],
)
def test_a_skipped_time_fires_later(pattern, expected):
    after = datetime(2030, 3, 30, tzinfo=UTC)
    assert runs(properties(pattern, timezone="Europe/Madrid"), 3, after) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("30 2 * * *", ["10-26 00:30", "10-27 00:30", "10-28 01:30"]),
        ("0 3 * * *", ["10-26 01:00", "10-27 02:00", "10-28 02:00"]),
    ],
)
def test_a_repeated_time_fires_once(pattern, expected):
    after = datetime(2030, 10, 26, tzinfo=UTC)
    assert runs(properties(pattern, timezone="Europe/Madrid"), 3, after) == expected


def test_an_hourly_rule_across_both_clock_changes():
    for first, hours in ((datetime(2030, 3, 31, tzinfo=UTC), 0), (datetime(2030, 10, 26, 22, tzinfo=UTC), 1)):
        timing = TIME.parse(properties("0 * * * *", timezone="Europe/Madrid"))
        found, after = [], first
        while after < first + timedelta(hours=6):
            after = timing.next(after)
            found.append(after)
        steps = {later - earlier for earlier, later in zip(found, found[1:], strict=False)}
        assert steps == {timedelta(hours=1)} | ({timedelta(hours=2)} if hours else set())


@given(
    pattern=st.builds(
        "{} {} {} {} {}".format,
        st.integers(0, 59),
        st.integers(0, 23),
        st.sampled_from(["*", "1", "15", "28", "29", "31", "L"]),
        st.sampled_from(["*", "2", "6"]),
        st.sampled_from(["*", "0", "3"]),
    ),
    zone=st.sampled_from(["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    after=st.datetimes(datetime(2030, 1, 2), datetime(2032, 1, 1), timezones=st.just(UTC)),
)
@settings(max_examples=100, derandomize=True)
def test_the_next_run_is_the_earliest(pattern, zone, after):
    timing = TIME.parse(properties(pattern, timezone=zone))
    found = timing.next(after)
    if found is None:
        assert pattern.split()[2:] in (["31", "2", "*"], ["31", "6", "*"]), "there is no such day"
        return
    assert found > after
    # The result is the same for any moment between the previous run and this one.
    between = after + (found - after) / 2
    assert timing.next(between) == found
    assert timing.next(found) > found
    wall = found.astimezone(zoneinfo.ZoneInfo(zone))
    minute, hour, *_ = pattern.split()
    assert wall.utcoffset() is not None
    # A skipped wall-clock time fires as much later as the clock was set forward.
    assert (wall.hour * 60 + wall.minute - int(hour) * 60 - int(minute)) % 1440 in (0, 30, 60)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (properties("*/30 * * * *"), "fires twice within 1800 seconds"),
        (properties("0,59 23,0 * * *"), "fires twice within"),
        (properties("0 1 * * * 0,30"), "fires twice within 30 seconds"),
        (properties("* * * * * *"), "fires twice within 1 seconds"),
        (properties("30 0,23 * * *"), None),
        (properties("30 0,23 1 * *"), None),
        (properties(event("FREQ=WEEKLY;BYDAY=MO;BYHOUR=1\nRRULE:FREQ=WEEKLY;BYDAY=TU;BYHOUR=1;BYMINUTE=30")), None),
        (properties(event("FREQ=DAILY\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")), "FREQ=DAILY never fires"),
        (properties(event("FREQ=DAILY;BYSETPOS=5")), "FREQ=DAILY never fires"),
        (properties("59 23 * * 0") | {"pattern": "0 0 30 2 *"}, "never fires"),
        (properties(event("FREQ=DAILY;COUNT=1")), "never fires"),
        (properties(event("FREQ=DAILY;BYHOUR=1,2;BYMINUTE=0,59")), "fires twice within"),
        (properties("0 1 * * *", window=1801), "1801 is not between 900 and 1800"),
        (properties("0 1 * * *", window=0), "not between 900 and 1800"),
        (properties("0 1 * * *", end_time=START), "is not after start_time"),
        (properties("0 1 * * *", end_time="2030-01-01 12:00:00"), "never fires"),
        (properties("0 1 * * *", start_time="1969-12-31 23:59:59"), "is not between 1970 and"),
        (properties("0 1 * * *", start_time="9999-12-31 23:59:59"), "is not between 1970 and"),
        (properties("0 1 * * *", end_time="soon"), "'soon' is not a time"),
        (properties("0 1 * * *", timezone="Mars"), "'Mars' is unknown"),
        (properties("0 1 * * *", timezone="/etc/passwd"), "is unknown"),
        (properties("0 1 * * *", format="event"), "'event' is not one of"),
        (properties("0 1 * * *", start_time=None), "start_time is missing"),
    ],
)
def test_only_invalid_properties_are_refused(asked, said):
    with pytest.raises(exception.InvalidInput, match=said) if said else contextlib.nullcontext():
        TIME.check(asked, LIMITS, NOW)


def test_the_smallest_interval_is_searched_beyond_the_next_two_times():
    rules = "RRULE:FREQ=DAILY;BYHOUR=12;BYMINUTE=0\nRRULE:FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=5;BYHOUR=12;BYMINUTE=5"
    with pytest.raises(exception.InvalidInput, match="within 300 seconds"):
        TIME.check(properties(f"BEGIN:VEVENT\n{rules}\nEND:VEVENT"), LIMITS, NOW)


@pytest.mark.parametrize(
    "rare", ["FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31", "FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYMONTHDAY=5"]
)
def test_a_frequent_rule_does_not_hide_a_rare_one(rare):
    rules = f"RRULE:FREQ=HOURLY\nRRULE:{rare};BYHOUR=12;BYMINUTE=30"
    asked = properties(f"BEGIN:VEVENT\n{rules}\nEND:VEVENT", start_time="2030-12-01 00:00:00")
    if "INTERVAL" in rare:
        asked["start_time"] = "2030-11-06 00:00:00"
    with pytest.raises(exception.InvalidInput, match="within 1800 seconds"):
        TIME.check(asked, LIMITS, NOW)


def test_rare_times_are_checked_for_some_decades_only():
    timing = TIME.parse(properties(event("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=1;BYHOUR=1,2")))
    times = list(timing.rule.closest(datetime(2030, 1, 1), timedelta(hours=2)))
    assert times[0].year == 2030
    assert 2055 < times[-1].year < 2065


@pytest.mark.parametrize(
    "pattern", ["0 */2 * * *", "*/5 3 * * *", event("FREQ=HOURLY"), event("FREQ=DAILY;BYHOUR=1,3,23")]
)
def test_times_of_day_that_are_far_apart_need_no_search(pattern):
    rule = TIME.parse(properties(pattern)).rule
    assert list(rule.closest(datetime(2030, 1, 1), timedelta(minutes=5))) == []


def test_the_window_has_a_default():
    assert TIME.check(properties("0 1 * * *"), LIMITS, NOW).window == 900


def test_a_pattern_is_parsed_once():
    def read(pattern, zone):
        asked.append((pattern, str(zone)))
        return crontab.parse(pattern)

    asked: list[tuple[str, str]] = []
    timed = time.TimeTrigger({"crontab": read})
    for zone in ("Europe/Madrid", "UTC", "Europe/Madrid"):
        assert timed.parse(properties("0 1 * * *", timezone=zone)).next(NOW)
    assert asked == [("0 1 * * *", "Europe/Madrid"), ("0 1 * * *", "UTC")]


def test_the_error_for_an_unknown_format_names_the_installed_formats():
    with pytest.raises(NotInstalled, match=r"properties\.format: 'lunar' is not one of 'calendar', 'crontab'"):
        TIME.parse(properties("0 1 * * *", format="lunar"))
