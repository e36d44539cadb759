"""What is read of an iCalendar text; test_calendar.py tests what it means."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from karbor_like.triggers.formats import events

MADRID = ZoneInfo("Europe/Madrid")


def test_lines_are_unfolded_before_they_are_read():
    (event,) = events.parse("BEGIN:VEV\r\n ENT\r\nRRULE:FREQ=WEEKLY;\r\n\tBYDAY=M\r\n O\r\nEND:VEVENT", UTC)
    assert event.rules == [{"FREQ": "WEEKLY", "BYDAY": "MO"}]


def test_times_are_in_the_wall_clock_of_the_trigger():
    text = (
        "BEGIN:VEVENT\nDTSTART;TZID=Europe/Madrid:20300101T010000\nEXDATE:20300702T000000Z\nEXDATE:20300703\nEND:VEVENT"
    )
    (event,) = events.parse(text, MADRID)
    assert event == events.Event(datetime(2030, 1, 1, 1), [], {datetime(2030, 7, 2, 2)}, {date(2030, 7, 3)})


def test_a_time_at_the_end_of_the_calendar_has_a_wall_clock():
    assert events.wall(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), MADRID) == datetime(9999, 12, 31, 23, 59)
