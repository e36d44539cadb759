"""Old records are removed however many there are, on every database."""

import uuid
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from karbor_like.db.models import ScheduledRun
from karbor_like.operationengine import service

NOW = datetime(2031, 3, 1, tzinfo=UTC)
AGE = timedelta(days=90)
_SECOND = timedelta(seconds=1)


def test_all_old_runs_are_removed_at_once(database):
    old, young = NOW - AGE - timedelta(days=1), NOW - AGE + _SECOND
    ended = [*(old + number * _SECOND for number in range(1200)), young]
    shared = {"scheduled_operation_id": "s", "project_id": "p", "state": "succeeded", "epoch": 0, "attempt": 0}
    rows = [
        {"id": str(uuid.uuid4()), "due_at": at, "window_ends_at": at, "created_at": at, "ended_at": at, **shared}
        for at in ended
    ]
    database.write(lambda session: session.execute(sa.insert(ScheduledRun), rows))
    service.clean(database, NOW, AGE)
    with database.reader() as session:
        assert session.execute(sa.select(ScheduledRun.ended_at)).scalars().all() == [young]


def test_an_engine_that_stops_leaves_the_rest(database):
    times = dict.fromkeys(("due_at", "window_ends_at", "created_at", "ended_at"), NOW - 2 * AGE)
    row = ScheduledRun(scheduled_operation_id="s", project_id="p", state="succeeded", **times)
    database.write(lambda session: session.add(row))
    service.clean(database, NOW, AGE, lambda: True)
    with database.reader() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(ScheduledRun)).scalar_one() == 1
