import dataclasses
import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers.formats import calendar

START = datetime(2030, 1, 1)
DAILY = "FREQ=DAILY;BYHOUR=1;BYMINUTE=0"


def event(*lines: str) -> str:
    return "\n".join(("BEGIN:VEVENT", *lines, "END:VEVENT"))


def first(pattern: str, count: int = 3, after: datetime = START, zone=UTC) -> list[str]:
    times = calendar.parse(pattern, zone).occurrences(START, after)
    return [wall.strftime("%y-%m-%d %H:%M") for wall in itertools.islice(times, count)]


EXPECTED = ["30-01-01 01:00", "30-01-02 01:00", "30-01-03 01:00"]


@pytest.mark.parametrize(
    "pattern",
    [
        event(f"RRULE:{DAILY}"),
        event(f"RRULE:{DAILY};"),
        event(f"RRULE:{DAILY};;").replace("\n", "\r\n"),
        event(f"RRULE:{DAILY}").replace("\n", "\\n"),
        event(f"RRULE:{DAILY}").replace("\n", "\\r\\n"),
        f"  {event(f'RRULE:{DAILY}')}\n\n",
        event("DTSTART:20000101T050000Z", f"RRULE:{DAILY}", "SUMMARY:one\\ntwo"),
        event(f"rrule:{DAILY.lower()}"),
        f"BEGIN:VCALENDAR\nVERSION:2.0\n{event(f'RRULE:{DAILY}')}\nEND:VCALENDAR",
        event(f"RRULE:{DAILY}") + "\n" + event("RRULE:FREQ=YEARLY"),
    ],
)
def test_spellings_of_a_daily_rule(pattern):
    assert first(pattern) == EXPECTED


def test_rules_are_united_and_dates_excluded():
    pattern = event(
        f"RRULE:{DAILY}",
        "RRULE:FREQ=DAILY;BYHOUR=1,7;BYMINUTE=0",
        "EXDATE:20300102T010000,20300102T070000",
    )
    assert first(pattern, 4) == ["30-01-01 01:00", "30-01-01 07:00", "30-01-03 01:00", "30-01-03 07:00"]


def test_until_is_inclusive_and_may_have_a_zone():
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102T010000Z")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102T000000Z"), zone=ZoneInfo("Europe/Madrid")) == EXPECTED[:2]


def test_count_counts_from_the_start():
    assert first(event(f"RRULE:{DAILY};COUNT=2")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};COUNT=2"), after=datetime(2030, 1, 1, 12)) == EXPECTED[1:2]


@pytest.mark.parametrize("after", [START, datetime(2030, 6, 1), datetime(2090, 6, 1, 3, 30)])
@pytest.mark.parametrize("rule", ["FREQ=HOURLY;INTERVAL=7", "FREQ=MINUTELY;INTERVAL=90", "FREQ=HOURLY;BYHOUR=1,5"])
def test_frequent_rules_keep_their_phase_far_from_the_start(rule, after):
    (text,) = calendar.parse(event(f"RRULE:{rule}"), UTC).recurrences
    slow = dataclasses.replace(text, step=None)
    assert next(text.occurrences(START, after)) == next(slow.occurrences(START, after))


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYSETPOS=5",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=YEARLY;INTERVAL=100000",
    ],
)
def test_a_rule_that_never_fires(rule):
    assert first(event(f"RRULE:{rule}")) == []


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "has no VEVENT"),
        ("rubbish", "is not iCalendar"),
        ("/etc/passwd", "is not iCalendar"),
        ("BEGIN:VEVENT", "has no VEVENT"),
        ("BEGIN:VTODO\nRRULE:FREQ=DAILY\nEND:VTODO", "has no VEVENT"),
        (event(), "has no RRULEs, not 1 to 8"),
        (event("RRULE:FREQ=OFTEN"), "not valid: Expected frequency, got: OFTEN"),
        (event("RRULE:BYDAY=MO"), "FREQ is missing"),
        (event("RRULE:"), "not valid"),
        (event("RRULE:FREQ=DAILY;BYHOUR=25"), "hour must be in 0..23"),
        (event("RRULE:FREQ=DAILY;BYDAY=XX"), "not valid: Expected weekday"),
        (event("RRULE:FREQ=DAILY;COUNT=x"), "not valid: Expected int, got: x"),
        (event("RRULE:FREQ=YEARLY;BYMONTH=1,13"), "BYMONTH=13 is not between 1 and 12"),
        (event("RRULE:FREQ=YEARLY;BYMONTH=-1"), "Invalid month: '-1'"),
        (event("RRULE:FREQ=MONTHLY;BYMONTHDAY=-32"), "BYMONTHDAY=-32 is not between 1 and 31"),
        (event("RRULE:FREQ=YEARLY;BYWEEKNO=54"), "BYWEEKNO=54 is not"),
        (event("RRULE:FREQ=YEARLY;BYYEARDAY=367"), "BYYEARDAY=367 is not"),
        (event("RRULE:FREQ=DAILY;BYEASTER=1"), "BYEASTER is unknown"),
        (event("RRULE:FREQ=DAILY;INTERVAL=0"), "INTERVAL=0"),
        (event("RRULE:FREQ=DAILY;INTERVAL=-1"), "INTERVAL=-1"),
        (event("RRULE:FREQ=DAILY;INTERVAL=1000000"), "INTERVAL=1000000"),
        (event("RRULE:FREQ=DAILY;COUNT=0"), "COUNT=0"),
        (event("RRULE:FREQ=SECONDLY"), "too frequent"),
        (event(*["RRULE:FREQ=DAILY"] * 9), "has 9 RRULEs, not 1 to 8"),
        (
            event("RRULE:FREQ=MINUTELY;BYSETPOS=2"),
            "BYSETPOS cannot be used with FREQ=MINUTELY;INTERVAL=1; use FREQ=DAILY",
        ),
        (event("RRULE:FREQ=HOURLY;BYMONTH=2;BYHOUR=3"), "BYMONTH cannot be used with FREQ=HOURLY;INTERVAL=1"),
        (event("RRULE:FREQ=HOURLY;BYSETPOS=2"), "BYSETPOS cannot be used with FREQ=HOURLY;INTERVAL=1"),
        (
            event("RRULE:FREQ=SECONDLY;INTERVAL=3600;BYSETPOS=2"),
            "BYSETPOS cannot be used with FREQ=SECONDLY;INTERVAL=3600",
        ),
        (event("RRULE:FREQ=MINUTELY;INTERVAL=60;BYMONTH=2;BYMONTHDAY=30"), "BYMONTH, BYMONTHDAY cannot be used"),
        (event("RRULE:FREQ=MINUTELY;INTERVAL=61;BYDAY=MO;BYHOUR=3"), "BYDAY, BYHOUR cannot be used"),
        (
            event(f"RRULE:FREQ=DAILY;BYSETPOS={','.join(map(str, range(1, 14)))}"),
            "BYSETPOS has 13 values, more than 12",
        ),
        (event("RRULE:FREQ=DAILY", "RDATE:20300101T000000"), "RDATE is not supported"),
    ],
)
def test_an_invalid_pattern_is_refused(pattern, said):
    with pytest.raises(exception.InvalidInput, match=said):
        calendar.parse(pattern, UTC)


@given(
    st.one_of(
        st.text(max_size=80),
        st.builds(
            "BEGIN:VEVENT\nRRULE:FREQ={};{}\nEND:VEVENT".format,
            st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]),
            st.text(alphabet="BYMONTHDAYHOURSETPOSINTERVALCOUNTUNTIL=;,-0123456789TZ", max_size=40),
        ),
        st.builds(
            "BEGIN:VEVENT\nRRULE:FREQ={};{}={}\nEND:VEVENT".format,
            st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]),
            st.sampled_from(
                ["BYMONTH", "BYDAY", "BYHOUR", "BYMINUTE", "BYWEEKNO", "BYYEARDAY", "WKST", "UNTIL", "COUNT"]
            ),
            st.one_of(st.integers().map(str), st.sampled_from(["MO", "1MO,-1FR", "20300101", "20300101T000000Z", "x"])),
        ),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_either_parsed_or_refused(text):
    try:
        rule = calendar.parse(text, UTC)
    except exception.InvalidInput:
        return
    previous = START
    for found in itertools.islice(rule.occurrences(START, START), 3):
        assert found > previous
        previous = found
