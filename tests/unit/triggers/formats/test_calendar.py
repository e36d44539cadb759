import dataclasses
import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers.formats import calendar

START = datetime(2030, 1, 1)
DAILY = "FREQ=DAILY;BYHOUR=1;BYMINUTE=0"
_ALL_HOURS = ",".join(map(str, range(24)))
_ALL_MINUTES = ",".join(map(str, range(60)))


def event(*lines: str) -> str:
    return "\n".join(("BEGIN:VEVENT", *lines, "END:VEVENT"))


def first(pattern: str, count: int = 3, after: datetime = START, zone=UTC) -> list[str]:
    times = calendar.parse(pattern, zone).occurrences(START, after)
    return [wall.strftime("%y-%m-%d %H:%M") for wall in itertools.islice(times, count)]


#: As calendar programs export it.
_EXPORTED = f"""BEGIN:VCALENDAR
PRODID:-//Example//NONSGML//EN
VERSION:2.0
CALSCALE:GREGORIAN
METHOD:PUBLISH
X-WR-CALNAME:backups
BEGIN:VTIMEZONE
TZID:Europe/Madrid
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
CREATED:20291001T000000Z
DTSTAMP:20291001T000000Z
UID:4f@example.org
SUMMARY;LANGUAGE=en:a: b\\; c
STATUS:CONFIRMED
RRULE:{DAILY};WKST=SU
DTSTART:20000101T050000
DTEND:20000101T060000
SEQUENCE:2
X-MOZ-GENERATION:3
BEGIN:VALARM
TRIGGER:-PT15M
ACTION:DISPLAY
END:VALARM
END:VEVENT
END:VCALENDAR
"""
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
        event("RRULE:FREQ=DAILY ; BYHOUR= 1;BYMINUTE=0, 0"),
        event("RRULE:FREQ=DAILY;", " BYHOUR=1;BYMI", "\tNUTE=0"),
        event("RRULE:FREQ=DAILY;BYHOUR=1;BYMINUTE=0;", " ").replace("\n", "\r\n"),
        event("RRULE:FREQ=DAILY;", " BYHOUR=1;BYMINUTE=0").replace("\n", "\\n"),
        event(f"rrule:{DAILY.lower()}"),
        f"BEGIN:VCALENDAR\nVERSION:2.0\n{event(f'RRULE:{DAILY}')}\nEND:VCALENDAR",
        event(f"RRULE:{DAILY}") + "\n" + event("RRULE:FREQ=YEARLY"),
        _EXPORTED,
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


def test_a_day_is_excluded():
    pattern = event("RRULE:FREQ=DAILY;BYHOUR=1,7;BYMINUTE=0", "EXDATE;VALUE=DATE:20300101,20300103")
    assert first(pattern) == ["30-01-02 01:00", "30-01-02 07:00", "30-01-04 01:00"]


def test_a_time_of_another_zone_is_excluded():
    pattern = event(f"RRULE:{DAILY}", "EXDATE;TZID=Asia/Tokyo:20300102T090000", "EXDATE:20300103T000000Z")
    assert first(pattern, zone=ZoneInfo("Europe/Madrid")) == ["30-01-01 01:00", "30-01-04 01:00", "30-01-05 01:00"]


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("DTSTART:20300105T033000", "Europe/Madrid", "30-01-05 03:30"),
        ("DTSTART;TZID=Europe/Madrid:20300105T033000", "Europe/Madrid", "30-01-05 03:30"),
        ("DTSTART:20300105T033000Z", "UTC", "30-01-05 03:30"),
        ("DTSTART;VALUE=DATE:20300105", "Europe/Madrid", "30-01-05 00:00"),
        ("DTSTART:19700101T220000Z", "UTC", "30-01-01 22:00"),
    ],
)
def test_a_recurrence_starts_at_its_dtstart(start, zone, expected):
    zone = UTC if zone == "UTC" else ZoneInfo(zone)
    assert first(event(start, "RRULE:FREQ=DAILY"), 1, zone=zone) == [expected]


def test_dtstart_determines_the_phase_and_the_count():
    assert first(event("DTSTART:20291231T010000", "RRULE:FREQ=DAILY;INTERVAL=2"), 1) == ["30-01-02 01:00"]
    assert first(event("DTSTART:20291231T010000", "RRULE:FREQ=DAILY;COUNT=3")) == EXPECTED[:2]


def test_each_event_has_its_own_start_and_exclusions():
    daily = event("DTSTART:20300102T010000", "RRULE:FREQ=DAILY;COUNT=2")
    weekly = event("RRULE:FREQ=WEEKLY;BYDAY=TU;BYHOUR=5;BYMINUTE=0", "EXDATE;VALUE=DATE:20300103")
    expected = ["30-01-01 05:00", "30-01-02 01:00", "30-01-03 01:00", "30-01-08 05:00"]
    assert first(f"BEGIN:VCALENDAR\n{daily}\n{weekly}\nEND:VCALENDAR", 4) == expected


def test_until_is_inclusive_and_may_have_a_zone():
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102T010000Z")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};UNTIL=20300102T000000Z"), zone=ZoneInfo("Europe/Madrid")) == EXPECTED[:2]


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/New_York")])
@pytest.mark.parametrize("until", ["99991231T235959Z", "99991231", "99991231T000000"])
def test_the_last_day_of_the_calendar_means_for_ever(until, zone):
    assert first(event(f"RRULE:{DAILY};UNTIL={until}"), zone=zone) == EXPECTED


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("America/New_York")])
def test_a_time_before_all_others_never_comes_again(zone):
    assert first(event(f"RRULE:{DAILY};UNTIL=00010101T000000Z"), zone=zone) == []


def test_count_counts_from_the_start():
    assert first(event("RRULE:FREQ=DAILY;COUNT=2"), after=START - timedelta(seconds=1)) == [
        "30-01-01 00:00",
        "30-01-02 00:00",
    ]
    assert first(event(f"RRULE:{DAILY};COUNT=2")) == EXPECTED[:2]
    assert first(event(f"RRULE:{DAILY};COUNT=2"), after=datetime(2030, 1, 1, 12)) == EXPECTED[1:2]


@pytest.mark.parametrize("after", [START, datetime(2030, 6, 1), datetime(2040, 6, 1, 3, 30)])
@pytest.mark.parametrize("rule", ["FREQ=HOURLY;INTERVAL=7", "FREQ=MINUTELY;INTERVAL=90", "FREQ=HOURLY;BYHOUR=1,5"])
def test_frequent_rules_keep_their_phase_far_from_the_start(rule, after):
    (series,) = calendar.parse(event(f"RRULE:{rule}"), UTC).series
    (text,) = series.recurrences
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
        ("SUMMARY:x", "SUMMARY is in no component"),
        ("BEGIN:VEVENT", "BEGIN:VEVENT has no END"),
        ("BEGIN:VEVENT\nEND:VCALENDAR", "END:VCALENDAR has no BEGIN"),
        ("END:VEVENT", "END:VEVENT has no BEGIN"),
        ("BEGIN:VTODO\nRRULE:FREQ=DAILY\nEND:VTODO", "'VTODO' in the text is not supported; use VEVENT"),
        (event("BEGIN:VEVENT", "END:VEVENT"), "'VEVENT' in VEVENT is not supported"),
        (event(), "a VEVENT has no RRULE"),
        (event("RRULE:FREQ=DAILY") + "\n" + event("DTSTART:20300101T000000"), "a VEVENT has no RRULE"),
        (event("RULE:FREQ=DAILY"), "RULE is unknown in a VEVENT"),
        (event("RRULE:FREQ=DAILY", "no colon"), "is not iCalendar"),
        (event("RRULE:FREQ=OFTEN"), "FREQ=OFTEN is not one of YEARLY, MONTHLY"),
        (event("RRULE:BYDAY=MO"), "FREQ is missing"),
        (event("RRULE:"), "FREQ is missing"),
        (event("RRULE:FREQ=DAILY;BYHOUR"), "'BYHOUR' is not NAME=VALUE"),
        (event("RRULE:FREQ=DAILY BYHOUR=1"), "'FREQ=DAILY BYHOUR=1' is not NAME=VALUE"),
        (event("RRULE:FREQ=DAILY;BYHOUR=1 2"), "'BYHOUR=1 2' is not NAME=VALUE"),
        (event("RRULE:FREQ=DAILY;BYHOUR=1;BYHOUR=2"), "BYHOUR is given twice"),
        (event("RRULE:FREQ=DAILY;BYHOUR=25"), "BYHOUR=25 is not between 0 and 23"),
        (event("RRULE:FREQ=DAILY;BYHOUR=1,,2"), "BYHOUR= is not between"),
        (event("RRULE:FREQ=DAILY;BYHOUR=-1"), "BYHOUR=-1 is not between"),
        (event("RRULE:FREQ=DAILY;BYSECOND=60"), "BYSECOND=60 is not between 0 and 59"),
        (event("RRULE:FREQ=DAILY;BYDAY=XX"), "BYDAY=XX is not one of MO, TU"),
        (event("RRULE:FREQ=DAILY;WKST=1MO"), "WKST=1MO is not one of"),
        (event("RRULE:FREQ=DAILY;COUNT=x"), "COUNT=X is not between 1 and"),
        (event("RRULE:FREQ=YEARLY;BYMONTH=1,13"), "BYMONTH=13 is not between 1 and 12"),
        (event("RRULE:FREQ=YEARLY;BYMONTH=-1"), "BYMONTH=-1 is not"),
        (event("RRULE:FREQ=MONTHLY;BYMONTHDAY=-32"), "BYMONTHDAY=-32 is not between 1 and 31, or negative"),
        (event("RRULE:FREQ=MONTHLY;BYMONTHDAY=0"), "BYMONTHDAY=0 is not"),
        (event("RRULE:FREQ=MONTHLY;BYMONTHDAY=-+1"), "BYMONTHDAY=-\\+1 is not"),
        (event("RRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO"), "BYWEEKNO=53 is not between 1 and 51, or negative"),
        (event("RRULE:FREQ=YEARLY;BYWEEKNO=20"), "BYWEEKNO needs FREQ=YEARLY and BYDAY"),
        (event("RRULE:FREQ=DAILY;BYWEEKNO=20;BYDAY=MO"), "BYWEEKNO needs FREQ=YEARLY and BYDAY"),
        (event("RRULE:FREQ=YEARLY;BYYEARDAY=367"), "BYYEARDAY=367 is not"),
        (event("RRULE:FREQ=DAILY;BYEASTER=1"), "BYEASTER is unknown"),
        (event("RRULE:FREQ=MONTHLY;RSCALE=HEBREW"), "RSCALE is unknown"),
        (event("RRULE:FREQ=DAILY;INTERVAL=0"), "INTERVAL=0"),
        (event("RRULE:FREQ=DAILY;INTERVAL=-1"), "INTERVAL=-1"),
        (event("RRULE:FREQ=DAILY;INTERVAL=1000000"), "INTERVAL=1000000"),
        (event("RRULE:FREQ=DAILY;COUNT=0"), "COUNT=0"),
        (event("RRULE:FREQ=DAILY;COUNT=2;UNTIL=20300101"), "COUNT and UNTIL cannot be used together"),
        (event("RRULE:FREQ=DAILY;UNTIL=P1D"), "UNTIL: 'P1D' is not a date or time"),
        (event("RRULE:FREQ=DAILY;UNTIL=20300230"), "UNTIL: '20300230' is not a date or time"),
        (event("RRULE:FREQ=WEEKLY;BYDAY=1MO"), "BYDAY=1MO: a number needs FREQ=MONTHLY or YEARLY"),
        (event("RRULE:FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO"), "BYDAY=1MO: a number needs"),
        (event("RRULE:FREQ=MONTHLY;BYDAY=MO,1FR"), "days with a number and days without"),
        (event("RRULE:FREQ=MONTHLY;BYDAY=6MO"), "BYDAY=6MO: number=6 is not between 1 and 5"),
        (event("RRULE:FREQ=SECONDLY"), "too frequent"),
        (event(*["RRULE:FREQ=DAILY"] * 9), "has 9 RRULEs, not 1 to 8"),
        ("\n".join([event("RRULE:FREQ=DAILY")] * 9), "has 9 RRULEs, not 1 to 8"),
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
        (event("RRULE:FREQ=MINUTELY;INTERVAL=60;BYSECOND=1,2"), "several values of BYSECOND cannot be used"),
        (
            event(f"RRULE:FREQ=DAILY;BYSETPOS={','.join(map(str, range(1, 14)))}"),
            "BYSETPOS has 13 values, more than 12",
        ),
        (
            event(f"RRULE:FREQ=DAILY;BYHOUR={_ALL_HOURS};BYMINUTE={_ALL_MINUTES};BYSECOND=0,1,2,3,4,5,6"),
            "up to 10080 times",
        ),
        (event(*[f"RRULE:FREQ=YEARLY;INTERVAL={n};BYHOUR={_ALL_HOURS}" for n in (1, 2)]), "up to 17568 times"),
        (event("RRULE:FREQ=DAILY", "RDATE:20300101T000000"), "RDATE is not supported; use RRULE"),
        (event("RRULE:FREQ=DAILY", "RDATE;VALUE=PERIOD:20300101T000000Z/PT1H"), "RDATE is not supported"),
        (event("RRULE:FREQ=DAILY", "EXRULE:FREQ=WEEKLY"), "EXRULE is not supported; use RRULE and EXDATE"),
        (event("RRULE:FREQ=DAILY", "RECURRENCE-ID:20300101T000000"), "RECURRENCE-ID is not supported"),
        (event("RRULE:FREQ=DAILY", "STATUS:CANCELLED"), "a VEVENT is cancelled"),
        (f"BEGIN:VCALENDAR\nMETHOD:CANCEL\n{event('RRULE:FREQ=DAILY')}\nEND:VCALENDAR", "the calendar is cancelled"),
        (f"BEGIN:VCALENDAR\nCALSCALE:HEBREW\n{event('RRULE:FREQ=DAILY')}\nEND:VCALENDAR", "CALSCALE:HEBREW is not"),
        ("BEGIN:VTIMEZONE\nTZID:Mars\nEND:VTIMEZONE\n" + event("RRULE:FREQ=DAILY"), "VTIMEZONE 'Mars' is not a name"),
        (event("RRULE:FREQ=DAILY", "EXDATE;VALUE=PERIOD:20300101T000000Z/PT1H"), "EXDATE: VALUE=PERIOD is not"),
        (event("RRULE:FREQ=DAILY", "EXDATE:20300101T000000Z/PT1H"), "EXDATE: '20300101T000000Z/PT1H' is not a date"),
        (event("RRULE:FREQ=DAILY", "EXDATE;TZID=Mars:20300101T000000"), "EXDATE: TZID 'Mars' is unknown"),
        (event("RRULE:FREQ=DAILY", "EXDATE;TZID=Asia/Tokyo:20300101T000000Z"), "the suffix Z and a TZID"),
        (event("RRULE:FREQ=DAILY", "DTSTART:20300101T000000", "DTSTART:20300102T000000"), "more than one DTSTART"),
        (event("RRULE:FREQ=DAILY", "DTSTART:20300101T000000,20300102T000000"), "is more than one time"),
        (event("RRULE:FREQ=DAILY", "DTSTART:99990101T000000"), "DTSTART: '99990101T000000' is not between 1970 and"),
        (
            event("RRULE:FREQ=DAILY", "DTSTART;TZID=Asia/Tokyo:20300101T000000"),
            "DTSTART has the time zone 'Asia/Tokyo', but the trigger has 'UTC'; set properties.timezone to 'Asia/Tokyo'",
        ),
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
            "BEGIN:VEVENT\n{}:{}\nRRULE:FREQ=DAILY\nEND:VEVENT".format,
            st.sampled_from(["DTSTART", "EXDATE", "EXDATE;VALUE=DATE", "DTSTART;TZID=Asia/Tokyo", "RDATE", "STATUS"]),
            st.one_of(
                st.text(alphabet="0123456789TZP/,-", max_size=20), st.sampled_from(["00000101", "99991231T235959Z"])
            ),
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
@settings(max_examples=200, derandomize=True)
def test_any_text_is_either_parsed_or_refused(text):
    try:
        rule = calendar.parse(text, UTC)
    except exception.InvalidInput:
        return
    previous = START
    for found in itertools.islice(rule.occurrences(START, START), 3):
        assert found > previous
        previous = found


@pytest.mark.parametrize(
    ("rules", "spaced"),
    [
        (["FREQ=MINUTELY;INTERVAL=61"], True),
        (["FREQ=MINUTELY;INTERVAL=60;BYSECOND=5"], True),
        (["FREQ=HOURLY;INTERVAL=5;BYDAY=MO;BYMINUTE=5;BYSECOND=0"], True),
        (["FREQ=SECONDLY;INTERVAL=3601"], True),
        (["FREQ=MINUTELY;INTERVAL=59"], False),
        (["FREQ=HOURLY;BYMINUTE=0,30;BYSECOND=0"], False),
        (["FREQ=HOURLY;INTERVAL=7;BYMINUTE=0", "FREQ=HOURLY;INTERVAL=7;BYMINUTE=30"], False),
        (["FREQ=DAILY;BYHOUR=1;BYMINUTE=0,30"], False),
    ],
)
def test_one_rule_of_steps_is_not_enumerated(rules, spaced):
    parsed = calendar.parse(event(*(f"RRULE:{rule}" for rule in rules)), UTC)
    times = list(parsed.closest(START, timedelta(hours=1)))
    assert (times == []) == spaced
