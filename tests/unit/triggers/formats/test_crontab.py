import itertools
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
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
    ],
)
def test_the_error_names_the_invalid_part(pattern, part):
    with pytest.raises(exception.InvalidInput, match=part):
        crontab.parse(pattern)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="0123456789*,/-#LRH? JANmon", max_size=40))
def test_any_text_is_either_parsed_or_refused(text):
    try:
        rule = crontab.parse(text)
    except exception.InvalidInput:
        return
    for found in itertools.islice(rule.occurrences(AFTER, AFTER), 3):
        assert found > AFTER
