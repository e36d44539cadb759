"""A rule that began long ago is asked from near the moment of the question: the answers are those of counting from its
beginning.
"""

import time
from datetime import UTC, datetime, timedelta

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like.domain import calendar_rule

_RULES = st.builds(
    lambda frequency, interval, by: f"FREQ={frequency};INTERVAL={interval}{by}",
    st.sampled_from(["HOURLY", "DAILY", "WEEKLY"]),
    st.integers(1, 9),
    st.sampled_from(["", ";BYDAY=MO,FR", ";BYMONTH=2,11", ";BYDAY=SU,WE;WKST=SU", ";BYMONTHDAY=-1", ";BYHOUR=3"]),
)
_MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2003, 1, 1)).map(lambda moment: moment.replace(microsecond=0))


@settings(max_examples=150, deadline=None)
@given(_RULES, _MOMENTS, st.integers(0, 3 * 365 * 24 * 60))
def test_it_is_the_same_as_counting_from_the_beginning(text, start, minutes):
    after = start + timedelta(minutes=minutes)
    rule = calendar_rule.parse(f"BEGIN:VEVENT\r\nRRULE:{text}\r\nEND:VEVENT", UTC)
    try:
        expected = rrule.rrulestr(f"{text};UNTIL=20080101T000000", dtstart=start).after(after)
    except ValueError:
        expected = None  # no step from this start ever meets the rule
    found = next(rule.occurrences(start, after), None)
    assert found == expected or (expected is None and (found is None or found > datetime(2008, 1, 1)))


@pytest.mark.parametrize("rule", ["FREQ=DAILY;BYHOUR=1", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=1", "FREQ=HOURLY"])
def test_the_answer_takes_no_longer_the_longer_ago_the_rule_began(rule):
    calendar = calendar_rule.parse(f"BEGIN:VEVENT\r\nRRULE:{rule};BYMINUTE=0;BYSECOND=0\r\nEND:VEVENT", UTC)
    started = time.process_time()
    next(calendar.occurrences(datetime(1970, 1, 1), datetime(2290, 1, 1)))
    assert time.process_time() - started < 0.1, "counting 320 years takes seconds"
