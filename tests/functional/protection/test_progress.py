"""How often progress is recorded, and what is not lost when it is throttled."""

from datetime import timedelta
from pathlib import Path

import pytest

from karbor_like.bank import errors
from karbor_like.clock import ManualClock
from karbor_like.db import operations
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.outage import OperationDatabase
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
from karbor_like.protection.operation.waiting import Waiting
from tests.functional.protection import plugins
from tests.functional.protection.site import Site


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    """One queued protect."""
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    site.protect("a")
    return site


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(site: Site, clock: ManualClock) -> OperationDatabase:
    row = site.operation()
    record = site.env.database.write(lambda session: operations.claim(session, row, "here", 3600))
    assert record is not None
    return OperationDatabase(site.env.database, ActiveClaim(record, clock, clock.monotonic(), 3600))


@pytest.fixture
def waiting(database: OperationDatabase) -> Waiting:
    return Waiting(database, shown=False)


@pytest.fixture
def recorder(database: OperationDatabase, waiting: Waiting) -> DatabaseProgressRecorder:
    return DatabaseProgressRecorder(database, f"{plugins.NODE}#a", interval=10, moved=waiting.end)


def shown(site: Site) -> tuple[str | None, int, int | None]:
    row = site.resources()["a"]
    return row.step, row.bytes_done, row.stored_bytes


def test_progress_is_throttled_and_the_last_one_is_flushed(site: Site, clock: ManualClock, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    recorder.progress(2, 9)
    assert shown(site) == ("storing", 1, None)
    clock.advance(10)
    recorder.progress(3, 9)
    recorder.progress(4, 9)
    assert shown(site) == ("storing", 3, None)
    recorder.flush()
    assert shown(site) == ("storing", 4, None)


def test_a_step_is_recorded_immediately_with_what_was_throttled(site: Site, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    recorder.progress(2, 9)
    recorder.step("deleting")
    assert recorder.current == "deleting"
    assert shown(site) == ("deleting", 2, None)


def test_sizes_are_recorded_with_the_next_record(site: Site, recorder):
    recorder.step("storing")
    recorder.sizes(logical=9, new=8, stored=7)
    assert shown(site) == ("storing", 0, None)
    recorder.progress(9, 9)
    assert shown(site) == ("storing", 9, 7)


def test_a_newer_progress_is_not_overwritten_by_a_throttled_one(site: Site, clock: ManualClock, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    recorder.progress(2, 9)
    clock.advance(10)
    recorder.progress(3, 9)
    recorder.flush()
    assert shown(site) == ("storing", 3, None)


def test_a_wait_for_the_bank_is_said_until_bytes_move(site: Site, database, waiting, recorder):
    failures = [errors.ConnectionFailed("/srv/bank: no answer")] * 2

    def transfer() -> None:
        recorder.step("storing")
        if failures:
            raise failures.pop()
        assert str(site.operation().error_info).startswith("waiting for the bank of the provider since ")
        recorder.progress(1, 9)
        assert site.operation().error_info is None

    waiting.outlast(transfer)


def test_a_second_wait_is_said_with_its_own_time(site: Site, clock: ManualClock, database, waiting, recorder):
    failures = [errors.ConnectionFailed("/srv/bank: no answer") for _ in range(2)]
    texts = []

    def transfer() -> None:
        texts.append(site.operation().error_info)
        recorder.progress(1, 9)
        if failures:
            clock.advance(4000)
            database.claim.extend(clock.monotonic())
            failure = failures.pop()
            failure.answered = clock.monotonic()
            raise failure

    start = clock.now()
    waiting.outlast(transfer)
    said = [
        f"waiting for the bank of the provider since {start + timedelta(seconds=4000 * n):%Y-%m-%d %H:%M}"
        for n in (1, 2)
    ]
    assert [text and text[: len(said[0])] for text in texts] == [None, *said]


def test_a_wait_is_said_until_the_call_has_ended_and_never_of_an_ended_operation(site: Site, database):
    Waiting(database, shown=True)._begin("a later time")
    assert site.operation().error_info is None, "an earlier attempt has said an earlier time"
    site.env.database.write(lambda session: operations.show_wait(session, database.claim.record, "a wait"))
    Waiting(database, shown=True).outlast(lambda: None)
    assert site.operation().error_info is None
    site.env.database.write(lambda session: operations.finish(session, database.claim.record, "error", "the end"))
    Waiting(database, shown=True).end()
    assert site.operation().error_info == "the end"
