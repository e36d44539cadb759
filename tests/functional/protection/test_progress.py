"""How often progress is recorded, and what is not lost when it is throttled."""

from pathlib import Path

import pytest

from karbor_like.clock import ManualClock
from karbor_like.db import operations
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.outage import OperationDatabase
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
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
def recorder(site: Site, clock: ManualClock) -> DatabaseProgressRecorder:
    row = site.operation()
    record = site.env.database.write(lambda session: operations.claim(session, row, "here", 3600))
    assert record is not None
    database = OperationDatabase(site.env.database, ActiveClaim(record, clock, clock.monotonic(), 3600))
    return DatabaseProgressRecorder(database, f"{plugins.NODE}#a", interval=10)


def shown(site: Site) -> tuple[str | None, int, int | None]:
    row = site.resources()["a"]
    return row.step, row.bytes_done, row.stored_bytes


def test_progress_is_throttled_and_the_last_one_is_flushed(site: Site, clock: ManualClock, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    assert shown(site) == ("storing", 0, None)
    clock.advance(10)
    recorder.progress(2, 9)
    recorder.progress(3, 9)
    assert shown(site) == ("storing", 2, None)
    recorder.flush()
    assert shown(site) == ("storing", 3, None)


def test_a_step_is_recorded_immediately_with_what_was_throttled(site: Site, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    recorder.step("deleting")
    assert recorder.current == "deleting"
    assert shown(site) == ("deleting", 1, None)


def test_sizes_are_recorded_with_the_next_record(site: Site, clock: ManualClock, recorder):
    recorder.step("storing")
    recorder.sizes(logical=9, new=8, stored=7)
    assert shown(site) == ("storing", 0, None)
    clock.advance(10)
    recorder.progress(9, 9)
    assert shown(site) == ("storing", 9, 7)


def test_a_newer_progress_is_not_overwritten_by_a_throttled_one(site: Site, clock: ManualClock, recorder):
    recorder.step("storing")
    recorder.progress(1, 9)
    clock.advance(10)
    recorder.progress(2, 9)
    recorder.flush()
    assert shown(site) == ("storing", 2, None)
