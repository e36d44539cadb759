"""Rules that started long ago are evaluated from a recent candidate: with the same result as from their start, at constant
cost.
"""

import contextlib
import itertools
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers.formats import calendar

_BY = ["", ";BYDAY=MO,FR", ";BYDAY=SU,WE;WKST=SU", ";BYHOUR=3", ";BYHOUR=3,21;BYDAY=TU"]
#: Frequencies, the days of one interval, and the other parts that are combined with them.
_RULES = {
    "HOURLY": (1 / 24, [*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1"]),
    "DAILY": (1, [*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1", ";BYMONTH=2;BYMONTHDAY=29", ";BYHOUR=1,2;BYSETPOS=-1"]),
    "WEEKLY": (7, [*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1"]),
    "MONTHLY": (
        30,
        [*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1", ";BYMONTHDAY=29,31", ";BYDAY=1MO,-1FR", ";BYDAY=MO;BYSETPOS=-1"],
    ),
    "YEARLY": (
        365,
        [*_BY, ";BYDAY=1MO,-1FR", ";BYWEEKNO=1,-1;BYDAY=SU", ";BYYEARDAY=1,-1,366", ";BYMONTH=2;BYMONTHDAY=29"],
    ),
}
_MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2003, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
#: Few intervals are as far from the start as many: the evaluation begins at the last of them.
_FAR = 60


@st.composite
def _aged(
    draw: st.DrawFn, frequencies: Sequence[str], parts: Sequence[str] = ()
) -> tuple[str, datetime, datetime, datetime]:
    """Draw a rule, its start, a time some intervals after it, and one that is more intervals after that."""
    frequency, interval, start = draw(st.sampled_from(frequencies)), draw(st.integers(1, 9)), draw(_MOMENTS)
    days, others = _RULES[frequency]
    part = draw(st.sampled_from(parts or others))
    far = timedelta(days=days * interval * _FAR)
    after = (start + far * draw(st.floats(0, 1))).replace(microsecond=0)
    return f"FREQ={frequency};INTERVAL={interval}{part}", start, after, after + 2 * far


def _parsed(text: str) -> calendar.Calendar:
    return calendar.parse(f"BEGIN:VEVENT\r\nRRULE:{text}\r\nEND:VEVENT", UTC)


_SETTINGS = settings(max_examples=100, derandomize=True)


@_SETTINGS
@given(_aged(list(_RULES)))
def test_the_result_equals_an_evaluation_from_the_start(drawn):
    text, start, after, limit = drawn
    try:
        bounded = rrule.rrulestr(f"{text};UNTIL={limit:%Y%m%dT%H%M%S}", dtstart=start)
        expected = list(itertools.islice(bounded.xafter(after), 3))
    except ValueError:
        expected = []  # no step from this start ever matches the rule
    found = itertools.islice(_parsed(text).occurrences(start, after), 3)
    assert [wall for wall in found if wall <= limit] == expected


@pytest.mark.parametrize("interval", [12, 24, 36])
@pytest.mark.parametrize("part", ["", ";BYMONTHDAY=1", ";BYDAY=1MO"])
def test_a_monthly_rule_of_whole_years_stays_in_the_month_of_its_start(interval, part):
    rule, start, after = f"FREQ=MONTHLY;INTERVAL={interval}{part}", datetime(2026, 5, 1, 2), datetime(2033, 2, 1)
    expected = list(itertools.islice(rrule.rrulestr(rule, dtstart=start).xafter(after), 3))
    assert list(itertools.islice(_parsed(rule).occurrences(start, after), 3)) == expected


@_SETTINGS
@given(_aged(["HOURLY", "DAILY", "WEEKLY"], _BY), st.integers(1, 50))
def test_a_count_equals_an_enumeration_of_all_occurrences(drawn, count):
    text, start, after, _ = drawn
    try:
        expected = list(rrule.rrulestr(f"{text};COUNT={count}", dtstart=start).xafter(after))
    except ValueError:
        expected = []
    assert list(_parsed(f"{text};COUNT={count}").occurrences(start, after)) == expected


def _calls(work: Callable[[], object]) -> int:
    """Count the function calls of *work*: its cost, independent of the machine and its load."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


#: Each is the most expensive accepted rule of its kind.
_WORST = [
    "FREQ=HOURLY;COUNT=10000",
    "FREQ=DAILY;COUNT=10000",
    "FREQ=HOURLY;BYDAY=MO;BYHOUR=3;COUNT=10000",
    "FREQ=MINUTELY;INTERVAL=5;COUNT=10000",
    "FREQ=MINUTELY;INTERVAL=65;BYDAY=MO;BYHOUR=3;COUNT=10000",
    "FREQ=SECONDLY;INTERVAL=300;BYDAY=MO;BYHOUR=3;COUNT=10000",
    "FREQ=WEEKLY;INTERVAL=7;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=1,3,5,7;COUNT=10000",
    "FREQ=MONTHLY;BYMONTHDAY=29,30,31;COUNT=10000",
    f"FREQ=MONTHLY;BYMONTHDAY=29,30,31;BYHOUR={','.join(map(str, range(24)))};COUNT=10000",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=10000",
    f"FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR={','.join(map(str, range(24)))};COUNT=10000",
    f"FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR={','.join(map(str, range(24)))}",
    "FREQ=MONTHLY;BYMONTHDAY=29,30,31",
    "FREQ=DAILY;BYHOUR=1",
    "FREQ=WEEKLY;BYDAY=MO;BYHOUR=1",
    "FREQ=HOURLY",
]


@pytest.mark.parametrize("rule", _WORST)
@pytest.mark.parametrize("after", [datetime(1980, 6, 1), datetime(2090, 12, 31)])
def test_the_cost_does_not_grow_with_the_age_of_the_rule(rule, after):
    rules = _parsed(rule)
    calendar._find_last.cache_clear()
    assert _calls(lambda: next(rules.occurrences(datetime(1970, 1, 1), after), None)) < 60_000


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=9",
        "FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1;COUNT=9",
        "FREQ=SECONDLY;INTERVAL=3601;COUNT=9",
    ],
)
def test_a_count_that_requires_an_enumeration_is_refused(rule):
    with pytest.raises(exception.InvalidInput, match="COUNT is not supported .* use UNTIL"):
        _parsed(rule)


_ALL_DAY = f"BYHOUR={','.join(map(str, range(24)))}"
_POSITIONS = ",".join(map(str, range(355, 367)))
#: Each is the most expensive accepted rule of its kind that has no occurrences, or none for a long time.
_BARREN = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    f"FREQ=DAILY;BYSETPOS={_POSITIONS}",
    f"FREQ=WEEKLY;BYSETPOS={_POSITIONS}",
    f"FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30;BYDAY=MO,TU,WE,TH,FR,SA,SU;{_ALL_DAY}",
    f"FREQ=MONTHLY;BYSETPOS={_POSITIONS}",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;BYWEEKNO=51;BYDAY=MO;BYMONTH=6",
    "FREQ=YEARLY;BYDAY=5MO;BYMONTH=2;BYMONTHDAY=1",
    f"FREQ=YEARLY;BYDAY=MO;BYSETPOS=-366;BYYEARDAY={','.join(map(str, range(1, 32)))}",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=HOURLY;INTERVAL=36;BYDAY=MO;BYHOUR=1",
    "FREQ=HOURLY;INTERVAL=168;BYDAY=MO",
    "FREQ=MINUTELY;INTERVAL=10080;BYDAY=MO",
    "FREQ=MINUTELY;INTERVAL=65;BYDAY=MO;BYHOUR=3;BYMINUTE=1",
    "FREQ=SECONDLY;INTERVAL=300;BYDAY=MO;BYHOUR=3;BYMINUTE=5;BYSECOND=30",
    "FREQ=DAILY;INTERVAL=100000;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;INTERVAL=100000;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MONTHLY;INTERVAL=100000",
]


@pytest.mark.parametrize("rule", _BARREN)
@pytest.mark.parametrize("after", [datetime(1970, 1, 1), datetime(2299, 12, 31)])
def test_the_search_of_a_rule_without_occurrences_is_bounded(rule, after):
    rules = _parsed(rule)
    calendar._measure.cache_clear()
    cost = _calls(lambda: next(rules.occurrences(datetime(1970, 1, 1), after), None))
    assert cost < 200_000
    assert _calls(lambda: next(rules.occurrences(datetime(1970, 1, 1), after), None)) <= max(cost // 2, 1000)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=DAILY;INTERVAL=5;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    ],
)
@pytest.mark.parametrize("after", [datetime(1980, 3, 1), datetime(2096, 3, 1)])
def test_a_rare_occurrence_is_found(rule, after):
    start = datetime(1970, 1, 1)
    expected = next(rrule.rrulestr(rule, dtstart=start).xafter(after))
    assert next(_parsed(rule).occurrences(start, after)) == expected


_HOURS, _SIXTY = (",".join(map(str, range(count))) for count in (24, 60))
_DAYS = "MO,TU,WE,TH,FR,SA,SU"
#: Each is the most expensive pattern of its kind.
_REQUESTS = [
    [f"FREQ=YEARLY;BYHOUR={_HOURS};BYMINUTE={_SIXTY};BYSECOND={_SIXTY};BYSETPOS=1"] * 7,
    [f"FREQ=DAILY;BYHOUR={_HOURS};BYMINUTE={_SIXTY};BYSETPOS=1"],
    [f"FREQ=YEARLY;BYDAY={_DAYS};BYHOUR={_HOURS};BYSETPOS=-{number}" for number in range(1, 9)],
    [f"FREQ=YEARLY;BYDAY={_DAYS};BYSETPOS=-{number};BYHOUR=1;BYMINUTE={number}" for number in range(1, 9)],
    ["FREQ=HOURLY", "FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYMONTHDAY=5;BYHOUR=12;BYMINUTE=30"],
    [f"FREQ=HOURLY;INTERVAL={number};BYMINUTE=0" for number in range(1, 9)],
    [f"FREQ=HOURLY;INTERVAL={number};BYMONTH=2;BYMONTHDAY=29" for number in range(1, 9)],
    [f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYHOUR={number}" for number in range(8)],
    [f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR={number}" for number in range(8)],
    [f"FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;BYHOUR={number}" for number in range(8)],
    [f"FREQ=DAILY;INTERVAL=2;BYHOUR={number};BYMINUTE={number}" for number in range(8)],
    [f"FREQ=DAILY;INTERVAL={number};BYHOUR=1;BYMINUTE={number % 60}" for number in (947, 953, 967, 971, 977, 983, 991)],
    [f"FREQ=MINUTELY;INTERVAL={number}" for number in (61, 67, 71, 73, 79, 83, 89, 97)],
    [f"FREQ=WEEKLY;BYDAY={day};BYHOUR=1;BYMINUTE={number}" for number, day in enumerate(_DAYS.split(","))],
]


@pytest.mark.parametrize("rules", _REQUESTS, ids=range(len(_REQUESTS)))
@pytest.mark.parametrize("least", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=3)])
def test_the_cost_of_a_request_is_bounded(rules, least):
    """Parsing, and comparing the shortest distance with a limit, as for a new trigger: 50 ms are about 500000 calls."""
    text = "\r\n".join(["BEGIN:VEVENT", *(f"RRULE:{rule}" for rule in rules), "END:VEVENT"])
    start = datetime(2030, 1, 1)
    calendar._measure.cache_clear()

    def ask() -> None:
        with contextlib.suppress(exception.InvalidInput):
            rule = calendar.parse(text, UTC)
            for earlier, later in itertools.pairwise(rule.closest(start, least)):
                if later - earlier < least:
                    break
            next(rule.occurrences(start, start), None)

    assert _calls(ask) < 400_000
