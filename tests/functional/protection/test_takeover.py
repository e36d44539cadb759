"""Takeover at any point: the next process finishes the operation or fails it, and leaves no orphaned resource.

A process that dies is simulated: it pauses until its lease has expired and then does nothing more. Each process is a call in
the test's thread, on a clock that the test moves; ``test_kills.py`` kills real ones.
"""

import dataclasses
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.db import operations
from tests.functional.protection import plugins, stores
from tests.functional.protection.attempts import follow, run
from tests.functional.protection.site import LEASE, OTHER_PROVIDER, PROVIDER, Site, write_provider


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The time of the processes and of the database. Faults that kill let a lease expire."""
    manual = ManualClock(datetime.now(UTC))

    def die() -> None:
        manual.advance(LEASE + 1)
        raise exception.LeaseLost("the process stood still for longer than its lease")

    monkeypatch.setattr(plugins, "die", die)
    return manual


@pytest.fixture
def site(tmp_path: Path, files: Path, clock: ManualClock) -> Site:
    """Answers calls and runs no operations."""
    site = Site(tmp_path, files)
    site.env = dataclasses.replace(site.env, clock=clock)
    follow(site.env.database.engine, clock)
    make_deadly(site, PROVIDER)
    site.cloud.plant({"a": ["b", "c"], "b": [], "c": []})
    return site


def make_deadly(site: Site, provider_id: str) -> None:
    """Let faults kill a process at requests to the provider's bank."""
    store = site.env.providers.get(provider_id).bank.store
    stores.intercept(store, lambda what: stores.meet(f"before {what}"), lambda what: stores.meet(f"after {what}"))


@pytest.mark.parametrize(
    "fault",
    [
        "prepare_begin:a",
        "prepare_finish:b",
        "main:a",
        "main:b",
        "complete:a",
        "store:before put .*events/.*available",
        "store:after put .*events/.*available",
    ],
)
def test_a_protect_is_finished_by_the_next_process(site: Site, fault: str):
    site.cloud.fault(**{fault: "exit"})
    created = site.protect("a")["id"]
    assert not run(site)
    assert site.checkpoint(created).status == "protecting"

    assert run(site)

    row = site.checkpoint(created)
    assert (row.status, row.reason) == ("available", None)
    assert site.things() == []
    ends = [call for call in site.cloud.calls() if call.endswith(":end")]
    hooks = ("prepare_begin", "prepare_finish", "main", "complete")
    assert set(ends) == {f"protect:{hook}:{name}:end" for name in "abc" for hook in hooks}
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created).status == "available"


@pytest.mark.parametrize("fault", ["cleanup:b", "main:a", "store:after put .*events/.*available"])
def test_a_member_that_was_left_out_is_not_in_the_checkpoint_of_the_next_process(site: Site, fault: str):
    site.cloud.fault(**{"prepare_finish:b": "vanish", fault: "exit"})
    created = site.protect("a")["id"]
    assert not run(site)

    assert run(site)

    row = site.checkpoint(created)
    assert (row.status, [entry["id"] for entry in row.plan["left_out"]]) == ("available", ["b"])
    assert not any(call.startswith(("protect:main:b", "protect:complete:b")) for call in site.cloud.calls())
    commit = site.env.providers.get(PROVIDER).bank.checkpoints.get(created).events[-1]
    assert commit.detail["left_out"] == row.plan["left_out"]


@pytest.mark.parametrize("fault", ["cleanup:b", "cleanup:a", "store:before put .*events/.*error"])
def test_a_revert_is_finished_by_the_next_process(site: Site, fault: str):
    site.cloud.fault(**{"main:b": "fail", fault: "exit"})
    created = site.protect("a")["id"]
    assert not run(site)

    assert run(site)

    row = site.checkpoint(created)
    assert row.status == "error"
    assert row.reason.endswith("the cloud says no to main:b")
    assert site.things() == []
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created).status == "error"


@pytest.mark.parametrize("fault", ["main:b", "complete:a"])
def test_a_restore_is_finished_by_the_next_process(site: Site, fault: str):
    created = site.protect("a")["id"]
    assert run(site)
    site.cloud.fault(**{fault: "exit"})
    restore_id = site.restore(created)
    assert not run(site)

    assert run(site)

    assert site.restored(restore_id).status == "success"
    assert len(site.things()) == 3, "each resource was restored once"


@pytest.mark.parametrize(
    "fault",
    [
        "main:b",
        "store:before delete .*plan.json",
        "store:after delete .*plan.json",
        "store:after delete .*available",
    ],
)
def test_a_deletion_is_finished_by_the_next_process(site: Site, fault: str):
    created = site.protect("a")["id"]
    assert run(site)
    site.cloud.fault(**{fault: "exit"})
    site.delete(created)
    assert not run(site)

    assert run(site)

    assert site.checkpoint(created).status == "deleted"


@pytest.mark.parametrize(
    "fault",
    [
        "copy:b",
        "copied:b",
        "store:before put .*/plan.json",
        "store:after put .*/plan.json",
        "store:after put .*/packs/",
        "store:after put .*/manifests/",
        "store:before put .*events/.*available",
        "store:after put .*events/.*available",
    ],
)
def test_a_copy_is_finished_by_the_next_process(site: Site, files: Path, fault: str):
    write_provider(files.parent, OTHER_PROVIDER, "other", "other-bank")
    site.env.providers.load()
    make_deadly(site, OTHER_PROVIDER)
    content = random.Random(7).randbytes(400_000)
    site.cloud.content("b", content)
    plan_id = site.plan("a")
    created = site.protect(plan_id=plan_id)["id"]
    assert run(site)
    site.cloud.fault(**{fault: "exit"})
    copy_id = site.copy(plan_id)[created]
    assert not run(site)
    assert site.checkpoint(copy_id).status == "copying"

    assert run(site)

    row = site.checkpoint(copy_id)
    assert (row.status, row.reason, row.extra_info["copy_status"]) == ("available", None, "finished")
    restore_id = site.restore(copy_id, provider_id=OTHER_PROVIDER)
    assert run(site)
    assert site.restored(restore_id).status == "success"
    assert content in [path.read_bytes() for path in site.cloud.things.iterdir()]
    assert site.env.providers.get(OTHER_PROVIDER).bank.checkpoints.get(copy_id).status == "available"


def test_an_operation_that_kills_every_process_is_given_up_and_undone(site: Site):
    site.cloud.fault(**{"main:b": "always exit"})
    created = site.protect("a")["id"]
    for _ in range(3):
        assert not run(site)

    assert run(site)

    row = site.checkpoint(created)
    assert row.status == "error"
    assert "given up: the process that ran it died 3 times" in row.reason
    assert site.things() == []


def test_an_operation_whose_revert_kills_too_is_ended_and_names_what_remains(site: Site):
    site.cloud.fault(**{"main:b": "fail", "cleanup:b": "always exit"})
    created = site.protect("a")["id"]
    for _ in range(6):
        assert not run(site)
    site.cloud.fault(**{"cleanup:b": "fail"})

    assert run(site)

    row = site.checkpoint(created)
    assert row.status == "error"
    assert "left behind: thing id-karbor-like-" in row.reason


def test_an_operation_is_not_taken_over_before_its_lease_expires(site: Site, clock: ManualClock):
    created = site.protect("a")["id"]
    row = site.operation(checkpoint_id=created)
    claim = site.env.database.write(lambda session: operations.claim(session, row, "a dead process", LEASE))
    assert claim is not None
    clock.advance(LEASE - 1)
    assert not run(site)
    assert site.operation(checkpoint_id=created).owner == "a dead process"

    clock.advance(2)
    assert run(site)

    assert site.checkpoint(created).status == "available"
    assert site.operation(checkpoint_id=created).attempts == 2


def test_what_was_lost_at_a_provider_that_is_not_loaded_leaves_room(site: Site, clock: ManualClock):
    site.conf.set_override("max_operations_per_project", 1, group="protection")
    site.protect("a")
    row = site.operation()
    assert site.env.database.write(lambda session: operations.claim(session, row, "a dead process", LEASE))
    elsewhere = {"provider_id": OTHER_PROVIDER}
    site.env.database.write(lambda session: operations.OPERATIONS.update(session, row.id, elsewhere))
    clock.advance(LEASE + 1)
    created = site.protect("b")["id"]

    assert run(site)

    assert site.checkpoint(created).status == "available"


def test_a_process_that_lost_its_lease_writes_nothing_more(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.cloud.fault(**{"main:b": "exit"})
    created = site.protect("a")["id"]

    def take_over() -> None:
        held = site.operation(checkpoint_id=created)
        taken = site.env.database.write(lambda session: operations.claim(session, held, "another process", LEASE))
        assert taken is not None

    # The process continues after a pause and has not noticed that another one claimed the operation.
    monkeypatch.setattr(plugins, "die", take_over)
    assert not run(site)

    assert site.operation(checkpoint_id=created).owner == "another process"
    assert site.checkpoint(created).status == "protecting"
    assert [call for call in site.cloud.calls() if ":cleanup:" in call] == [], "it undid what it no longer owned"
