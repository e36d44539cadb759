import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.triggers.formats import crontab

AFTER = datetime(2030, 1, 1, 12)


def first(pattern: str, count: int = 1) -> list[datetime]:
    return list(itertools.islice(crontab.parse(pattern).occurrences(AFTER, AFTER), count))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("0 1 * * *", datetime(2030, 1, 2, 1)),
        ("0 1 * * 0", datetime(2030, 1, 6, 1)),
        ("0 1 * * sun", datetime(2030, 1, 6, 1)),
        ("0 1 1 FEB *", datetime(2030, 2, 1, 1)),
        ("0 1 L * *", datetime(2030, 1, 31, 1)),
        ("0 1 * * 1#2", datetime(2030, 1, 14, 1)),
        ("  0\t1 * * *  ", datetime(2030, 1, 2, 1)),
        ("0 1 * * * 30", datetime(2030, 1, 2, 1, 0, 30)),
        ("0 0 29 2 *", datetime(2032, 2, 29)),
        ("0 2 */100,1-7 * mon", datetime(2030, 1, 7, 2)),
        ("0 2 1-7 * */7", datetime(2030, 1, 6, 2)),
        ("0 2 * * */3", datetime(2030, 1, 2, 2)),
        ("0 2 13 * fri", datetime(2030, 1, 4, 2)),
        ("0 2 */2 * 1#2", datetime(2030, 2, 11, 2)),
        ("0 2 31 * 1,*", datetime(2030, 1, 2, 2)),
        ("0 2 * * l5", datetime(2030, 1, 25, 2)),
        ("0 5-5 * * *", datetime(2030, 1, 2, 5)),
        ("30-30/2 5 * * *", datetime(2030, 1, 2, 5, 30)),
        ("0 1 * jun-jun *", datetime(2030, 6, 1, 1)),
        ("0 1 * * 7-7", datetime(2030, 1, 6, 1)),
        ("0 1 * * fri-mon", datetime(2030, 1, 4, 1)),
    ],
)
def test_the_first_occurrence(pattern, expected):
    assert first(pattern) == [expected]


def test_a_pattern_that_never_fires():
    assert first("0 0 30 2 *") == []


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "* * * *",
        "* * * * * * *",
        "@daily",
        "R * * * *",
        "H * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "a b c d e",
        "1-x * * * *",
        "0 1 * * * ; rm",
        "０ 1 * * *",
    ],
)
def test_an_invalid_pattern_is_refused(pattern):
    with pytest.raises(exception.InvalidInput, match=r"properties\.pattern"):
        crontab.parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("1 1 0 * *", "day '0'"),
        ("1 1 1 13 *", "month '13'"),
        ("1 1 1 1 8", "weekday '8'"),
        ("1 1 * * * 60", "second '60'"),
        ("*/0 1 * * *", r"minute '\*/0'"),
        ("1-x * * * *", "'1-x'"),
        ("1 1 * *", "4 fields, not 5"),
        ("0 15 10 ? * MON", r"'\?' is not a field .* the last of six fields is the second, not the first as in Quartz"),
        ("0 30 2 * * 1", "hour '30'.* the last of six fields is the second, not the first as in Quartz"),
        ("0 15 10 ? * MON 2030", "7 fields, not 5 .*seconds last, not first as in Quartz"),
        ("0 1 13 * 1#2", "weekday '1#2' cannot be combined with day '13'"),
        ("0 1 1-7 * L5", "weekday 'l5' cannot be combined with day '1-7'"),
        ("0 22-2/2 * * *", "hour '22-2/2' is not a range that begins with the smaller value"),
        ("0 1 * * 7-0", "weekday '7-0' is not a range"),
        ("0 1 * * 1,,2", "weekday '1,,2'"),
        ("0 1 * * */2-5", r"weekday '\*/2-5'"),
    ],
)
def test_the_error_names_the_invalid_part(pattern, part):
    with pytest.raises(exception.InvalidInput, match=part):
        crontab.parse(pattern)


def _matching(text: str, low: int, high: int, value: int, names: Sequence[str] = ()) -> bool:
    """Whether a field matches a value, read as the manual page crontab(5) says."""
    for item in text.split(","):
        span, _, step = item.partition("/")
        ends = [names.index(end) if end in names else int(end) for end in span.split("-") if end != "*"] or [low, high]
        first, last = ends[0], ends[-1] if len(ends) > 1 or not step else high
        if value in range(first, last + 1, int(step or 1)):
            return True
    return False


def _by_hand(pattern: str, wall: datetime) -> bool:
    """Whether Vixie cron would run a line at *wall*."""
    minute, hour, day, month, weekday = pattern.split()
    number = wall.isoweekday() % 7
    days = _matching(day, 1, 31, wall.day)
    weekdays = any(_matching(weekday, 0, 7, value, _WEEKDAYS) for value in ([0, 7] if number == 0 else [number]))
    both = day.startswith("*") or weekday.startswith("*")
    return (
        _matching(minute, 0, 59, wall.minute)
        and _matching(hour, 0, 23, wall.hour)
        and _matching(month, 1, 12, wall.month, _MONTHS)
        and (days and weekdays if both else days or weekdays)
    )


_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@st.composite
def _field(draw: st.DrawFn, low: int, high: int, names: Sequence[str] = ()) -> str:
    """Draw a field with one or two items."""

    def item() -> str:
        step = draw(st.sampled_from(["", "", "/1", "/2", "/3", "/7", "/100"]))
        if draw(st.booleans()):
            return f"*{step}"
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        if draw(st.booleans()):
            return str(first)
        if names and last < len(names) and draw(st.booleans()):
            return f"{names[first]}-{names[last]}{step}"
        return f"{first}-{last}{step}"

    return ",".join(item() for _ in range(draw(st.integers(1, 2))))


@settings(max_examples=150, derandomize=True)
@given(_field(1, 31), _field(1, 12, _MONTHS), _field(0, 7, _WEEKDAYS), st.integers(0, 900))
def test_the_days_are_those_of_cron(day, month, weekday, number):
    pattern = f"30 2 {day} {month} {weekday}"
    start = datetime(2027, 1, 1, 2, 30) + timedelta(days=number)
    expected = [wall for wall in (start + timedelta(days=count) for count in range(1, 60)) if _by_hand(pattern, wall)]
    found = crontab.parse(pattern).occurrences(start, start)
    assert list(itertools.takewhile(lambda wall: wall < start + timedelta(days=60), found)) == expected


@settings(max_examples=60, derandomize=True)
@given(_field(0, 59), _field(0, 23), st.integers(0, 1439))
def test_the_times_are_those_of_cron(minute, hour, number):
    pattern = f"{minute} {hour} * * *"
    start = datetime(2030, 1, 1) + timedelta(minutes=number)
    expected = (
        wall for wall in (start + timedelta(minutes=count) for count in range(1, 10000)) if _by_hand(pattern, wall)
    )
    found = crontab.parse(pattern).occurrences(start, start)
    assert list(itertools.islice(found, 5)) == list(itertools.islice(expected, 5))


@settings(derandomize=True)
@given(st.text(alphabet="0123456789*,/-#LRH? JANmon", max_size=40))
def test_any_text_is_either_parsed_or_refused(text):
    try:
        rule = crontab.parse(text)
    except exception.InvalidInput:
        return
    for found in itertools.islice(rule.occurrences(AFTER, AFTER), 3):
        assert found > AFTER
