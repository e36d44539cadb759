"""Rules that started long ago are evaluated from a recent candidate: with the same result as from their start, at constant
cost.
"""

import itertools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dateutil import rrule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers.formats import calendar

_BY = ["", ";BYDAY=MO,FR", ";BYDAY=SU,WE;WKST=SU", ";BYHOUR=3", ";BYHOUR=3,21;BYDAY=TU"]
_FIXED = ["HOURLY", "DAILY", "WEEKLY"]
_RULES = st.one_of(
    st.builds(
        "FREQ={};INTERVAL={}{}".format,
        st.sampled_from(_FIXED),
        st.integers(1, 9),
        st.sampled_from([*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1", ";BYMONTH=2;BYMONTHDAY=29"]),
    ),
    st.builds(
        "FREQ={};INTERVAL={}{}".format,
        st.sampled_from(["DAILY", "WEEKLY"]),
        st.integers(1, 9),
        st.sampled_from([";BYDAY=MO,FR;BYSETPOS=1", ";BYHOUR=1,2;BYSETPOS=-1"]),
    ),
    st.builds(
        "FREQ={};INTERVAL={}{}".format,
        st.sampled_from(["MONTHLY", "YEARLY"]),
        st.integers(1, 5),
        st.sampled_from(
            [*_BY, ";BYMONTH=2,11", ";BYMONTHDAY=-1", ";BYMONTHDAY=29,31", ";BYDAY=1MO,-1FR", ";BYDAY=MO;BYSETPOS=-1"]
        ),
    ),
    st.builds(
        "FREQ=YEARLY;INTERVAL={}{}".format,
        st.integers(1, 3),
        st.sampled_from([";BYWEEKNO=1,53", ";BYYEARDAY=1,-1,366", ";BYMONTH=2;BYMONTHDAY=29"]),
    ),
)
_MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2003, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
_DECADE = 10 * 365 * 24 * 60


def _parsed(text: str) -> calendar.Calendar:
    return calendar.parse(f"BEGIN:VEVENT\r\nRRULE:{text}\r\nEND:VEVENT", UTC)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_RULES, _MOMENTS, st.integers(0, _DECADE))
def test_the_result_equals_an_evaluation_from_the_start(text, start, minutes):
    after = start + timedelta(minutes=minutes)
    limit = datetime(2030, 1, 1)
    try:
        counted = rrule.rrulestr(f"{text};UNTIL={limit:%Y%m%dT%H%M%S}", dtstart=start)
        expected = list(itertools.islice(counted.xafter(after), 3))
    except ValueError:
        expected = []  # no step from this start ever matches the rule
    found = itertools.islice(_parsed(text).occurrences(start, after), 3)
    assert [wall for wall in found if wall <= limit] == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds("FREQ={};INTERVAL={}{}".format, st.sampled_from(_FIXED), st.integers(1, 9), st.sampled_from(_BY)),
    st.integers(1, 400),
    _MOMENTS,
    st.integers(0, _DECADE),
)
def test_a_count_equals_an_enumeration_of_all_occurrences(text, count, start, minutes):
    after = start + timedelta(minutes=minutes)
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
@pytest.mark.parametrize("after", [datetime(1980, 6, 1), datetime(2031, 12, 31), datetime(2090, 12, 31)])
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
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
    "FREQ=YEARLY;BYDAY=53MO;BYMONTH=2",
    f"FREQ=YEARLY;BYMONTHDAY=1,2,3;BYYEARDAY={','.join(['4,5,6'] * 200)}",
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
@pytest.mark.parametrize("after", [datetime(1970, 1, 1), datetime(2031, 12, 31), datetime(2299, 12, 31)])
def test_the_search_of_a_rule_without_occurrences_is_bounded(rule, after):
    rules = _parsed(rule)
    calendar._has_occurrences.cache_clear()
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
