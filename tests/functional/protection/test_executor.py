"""How operations are claimed from the queue: how many concurrently, in which order, and which not yet."""

import dataclasses
from datetime import datetime
from pathlib import Path

import pytest

from karbor_like.clock import ManualClock
from karbor_like.db import operations
from karbor_like.protection.executor import Executor
from karbor_like.protection.operation.claim import ActiveClaim
from tests.fixtures.endpoint import unwrap
from tests.functional.protection.site import PROJECT, Site, running, until

OTHER = "q" * 32


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    """Two slots; not running yet."""
    found = Site(tmp_path, files, max_operations=2)
    found.cloud.plant({f"n{number}": [] for number in range(8)})
    found.cloud.fault(**{f"main:n{number}": "wait" for number in range(8)})
    return found


def protect(site: Site, name: str, project_id: str = PROJECT) -> str:
    plan_id = site.plan(name, project_id=project_id)
    return str(site.protect(plan_id=plan_id, context=site.context(project_id))["id"])


def begun(site: Site) -> list[str]:
    return [call.split(":")[2] for call in site.cloud.calls() if call.startswith("protect:main") and "begin" in call]


def test_a_bounded_number_runs_at_once_and_projects_take_turns(site: Site):
    mine = [protect(site, f"n{number}") for number in range(5)]
    other = protect(site, "n7", OTHER)
    with running(site):
        until(lambda: begun(site), lambda found: len(found) == 2, 30, "two operations")
        assert sorted(begun(site)) == ["n0", "n7"], "the other project's came last and is not last"
        assert site.executor.is_full()
        (site.cloud.path / "go").touch()
        for checkpoint_id in [*mine, other]:
            assert site.wait(checkpoint_id, "available", "error").status == "available"
    # Compare when they were claimed: two concurrent ones may reach their hooks in any order.
    started = [site.operation(checkpoint_id=checkpoint_id).started_at or datetime.max for checkpoint_id in mine]
    assert started == sorted(started)


def test_an_operation_that_is_cancelled_in_the_queue_never_begins(site: Site):
    first = [protect(site, name) for name in ("n0", "n1")]
    with running(site):
        until(lambda: begun(site), lambda found: len(found) == 2, 30, "two operations")
        waiting = protect(site, "n2")
        operation_id = site.operation(checkpoint_id=waiting).id
        unwrap(lambda: site.endpoint.cancel(site.context(), operation_id=operation_id))
        # It does not wait until one of the others has ended.
        row = site.wait(waiting, "available", "error")
        (site.cloud.path / "go").touch()
        for checkpoint_id in first:
            site.wait(checkpoint_id, "available")
    assert (row.status, row.reason) == ("error", "cancelled")
    assert "n2" not in begun(site)


def test_a_project_at_its_limit_leaves_slots_to_others(tmp_path: Path, files: Path):
    site = Site(tmp_path, files, max_operations=2, max_operations_per_project=1)
    site.cloud.plant({f"n{number}": [] for number in range(4)})
    site.cloud.fault(**{f"main:n{number}": "wait" for number in range(3)})
    mine = [protect(site, name) for name in ("n0", "n1")]
    other = protect(site, "n2", OTHER)
    with running(site):
        until(lambda: begun(site), lambda found: len(found) == 2, 30, "two operations")
        assert sorted(begun(site)) == ["n0", "n2"]
        (site.cloud.path / "go").touch()
        for checkpoint_id in [*mine, other]:
            assert site.wait(checkpoint_id, "available", "error").status == "available"


def test_an_operation_that_waits_for_bytes_per_second_can_be_cancelled(tmp_path: Path, files: Path):
    site = Site(tmp_path, files, max_bytes_per_second=1)
    site.cloud.plant({"n0": [], "n1": []})
    for name in ("n0", "n1"):
        site.cloud.content(name, name.encode() * 10_000)
    with running(site):
        waiting = str(site.protect("n0", "n1")["id"])
        # The data of one of them has passed. The other one waits for hours.
        until(lambda: site.env.rates.waiting, bool, 30, "a transfer that waits")
        unwrap(lambda: site.endpoint.cancel(site.context(), operation_id=site.operation(checkpoint_id=waiting).id))
        row = site.wait(waiting, "available", "error")
    assert (row.status, row.reason) == ("error", "cancelled")


def test_an_operation_waits_until_its_provider_is_loaded(tmp_path: Path, site: Site):
    path = tmp_path / "providers.d" / "test.conf"
    created = protect(site, "n0")
    cancelled = protect(site, "n1")
    path.rename(tmp_path / "aside")
    site.env.providers.load()
    (site.cloud.path / "go").touch()
    with running(site):
        unwrap(lambda: site.endpoint.cancel(site.context(), operation_id=site.operation(checkpoint_id=cancelled).id))
        assert site.wait(cancelled, "available", "error").reason == "cancelled"
        assert site.operation(checkpoint_id=created).queue_state == "queued"
        (tmp_path / "aside").rename(path)
        site.env.providers.load()
        assert site.wait(created, "available", "error").status == "available"


def test_a_cancelled_operation_that_created_resources_waits_for_its_provider(tmp_path: Path, site: Site, files: Path):
    path, aside = tmp_path / "providers.d" / "test.conf", tmp_path / "aside"
    with running(site):
        created = protect(site, "n0")
        until(site.things, lambda things: len(things) == 1, 30, "the thing that is made")
    later = Site(tmp_path, files)
    path.rename(aside)
    later.env.providers.load()
    operation_id = later.operation(checkpoint_id=created).id
    unwrap(lambda: later.endpoint.cancel(later.context(), operation_id=operation_id))
    later.executor.poll()
    assert later.operation(checkpoint_id=created).queue_state == "queued"
    aside.rename(path)
    later.env.providers.load()
    with running(later):
        assert later.wait(created, "available", "error").reason == "cancelled"
    assert later.things() == []


def test_the_lease_of_a_lost_operation_is_not_renewed(site: Site):
    protect(site, "n0")
    clock = ManualClock()
    executor = Executor(dataclasses.replace(site.env, clock=clock))
    row = site.operation()
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 3))
    # Held as during a run, which stops at its next check.
    held = executor._running[row.id] = ActiveClaim(claim, clock, clock.monotonic(), 3)
    before = site.operation().lease_until
    clock.advance(1)
    executor.renew_leases()
    renewed = site.operation().lease_until
    assert renewed > before
    clock.advance(3)
    executor.renew_leases()
    assert site.operation().lease_until == renewed
    assert held.is_lost()


def test_stopping_cuts_off_transfers_and_releases_their_operations(site: Site):
    site.cloud.fault(**{"main:n0": "silent"})
    created = protect(site, "n0")
    with running(site):
        until(lambda: begun(site), lambda found: found == ["n0"], 30, "main of n0")
    row = site.operation(checkpoint_id=created)
    assert (row.queue_state, row.owner) == (operations.QUEUED, None)
    assert (row.attempts, row.interruptions) == (1, 1)
