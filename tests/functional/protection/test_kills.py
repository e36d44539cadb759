"""Processes that are killed or stopped, and a database that is unreachable, with real time and real leases.

``test_takeover.py`` has the points at which a process may die; here a few show that a killed process is like that.
"""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.protection import entry
from tests.functional.protection.processes import Process, Zygote, started
from tests.functional.protection.site import OTHER_PROVIDER, PROVIDER, Site, until, write_provider


@pytest.fixture
def lease() -> int:
    return 3


@pytest.fixture
def site(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Answers calls and runs no operations. Its bank kills a process when a planned fault says so."""
    provider = tmp_path / "providers.d" / "test.conf"
    site = Site(tmp_path, files)
    provider.write_text(provider.read_text().replace("bank = filesystem", "bank = deadly"))
    site.cloud.plant({"a": ["b", "c"], "b": [], "c": []})
    yield site
    site.env.close()


def run_until_killed(zygote: Zygote, files: Path, name: str = "first") -> None:
    with started(zygote, files, name) as process:
        assert process.died() == 9, process.log.read_text()[-3000:]


@pytest.mark.parametrize("fault", ["main:b", "store:after put .*/plan.json"])
def test_a_killed_protect_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    site.cloud.fault(**{fault: "exit"})
    if "plan.json" in fault:
        # The process that answers the call dies before it has written the checkpoint to the bank.
        created = accept_and_die(zygote, files, site)
    else:
        created = site.protect("a")["id"]
        run_until_killed(zygote, files)
    assert site.checkpoint(created).status == "protecting"

    with started(zygote, files, "second") as process:
        row = site.wait(created, "available", "error")

    assert (row.status, row.reason) == ("available", None), process.log.read_text()[-3000:]
    assert site.things() == []
    ends = [call for call in site.cloud.calls() if call.endswith(":end")]
    assert set(ends) == {
        f"protect:{hook}:{name}:end"
        for name in "abc"
        for hook in ("prepare_begin", "prepare_finish", "main", "complete")
    }
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created).status == "available"


def accept_and_die(zygote: Zygote, files: Path, site: Site) -> str:
    """Send a call to a process that dies while it answers."""
    process = Process(zygote, files, "caller", entry.take_a_call)
    assert process.died() == 9, process.log.read_text()[-3000:]
    return str(site.operation(operation_type="protect").checkpoint_id)


def test_a_killed_copy_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site):
    other = write_provider(files.parent, OTHER_PROVIDER, "other", "other-bank")
    site.env.providers.load()
    other.write_text(other.read_text().replace("bank = filesystem", "bank = deadly"))
    content = random.Random(7).randbytes(400_000)
    site.cloud.content("b", content)
    plan_id = site.plan("a")
    created = site.protect(plan_id=plan_id)["id"]
    with started(zygote, files, "first"):
        site.wait(created, "available")
    site.cloud.fault(**{"store:after put .*/packs/": "exit"})
    copy_id = site.copy(plan_id)[created]
    run_until_killed(zygote, files, "second")
    assert site.checkpoint(copy_id).status == "copying"

    with started(zygote, files, "third") as process:
        row = site.wait(copy_id, "available", "error")
        assert (row.status, row.reason) == ("available", None), process.log.read_text()[-3000:]
        restore_id = site.restore(copy_id, provider_id=OTHER_PROVIDER)
        assert site.wait_done(restore_id=restore_id).status == "success"

    assert row.extra_info["copy_status"] == "finished"
    assert content in [path.read_bytes() for path in site.cloud.things.iterdir()]
    assert site.env.providers.get(OTHER_PROVIDER).bank.checkpoints.get(copy_id).status == "available"


def test_two_services_share_the_operations_and_run_each_once(zygote: Zygote, files: Path, site: Site):
    files.write_text(files.read_text().replace("drain", "max_operations = 3\ndrain"))
    other = files.with_name("there.conf")
    other.write_text(files.read_text().replace("host = here", "host = there"))
    names = [f"n{number}" for number in range(10)]
    site.cloud.plant({name: [] for name in names})
    site.cloud.fault(**{f"main:{name}": "wait" for name in names})
    created = [site.protect(name)["id"] for name in names]

    def owners() -> set[str]:
        return {str(site.operation(checkpoint_id=checkpoint_id).owner).split(":")[0] for checkpoint_id in created} - {
            "None"
        }

    with started(zygote, files, "first"), started(zygote, other, "second"):
        until(owners, lambda hosts: hosts == {"here", "there"}, 240, "both services to have claimed operations")
        (site.cloud.path / "go").touch()
        for checkpoint_id in created:
            assert site.wait(checkpoint_id, "available", "error").status == "available"

    begun = [call for call in site.cloud.calls() if call.endswith(":begin")]
    assert len(begun) == len(set(begun)) == 40
    assert {site.operation(checkpoint_id=checkpoint_id).attempts for checkpoint_id in created} == {1}


def test_a_database_that_is_unreachable_for_longer_than_the_lease(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files) as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        away = sqlite3.connect(files.with_name("db.sqlite"), isolation_level=None)
        away.execute("BEGIN EXCLUSIVE")
        # Longer than the lease of three seconds: the test is about this time.
        time.sleep(4)
        (site.cloud.path / "go").touch()
        time.sleep(1)
        away.execute("ROLLBACK")
        away.close()
        row = site.wait(created, "available", "error")

    assert row.status == "available", process.log.read_text()[-3000:]
    operation = site.operation(checkpoint_id=created)
    assert operation.attempts - operation.interruptions == 1, "an outage is not an attempt"
    assert [call for call in site.cloud.calls() if ":cleanup:" in call] == []
    assert site.things() == []


def test_a_stopped_service_releases_its_operations_immediately(zygote: Zygote, files: Path, site: Site):
    files.write_text(files.read_text().replace("drain = 10", "drain = 0").replace("lease = 3", "lease = 300"))
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files, "first") as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        process.signal(signal.SIGTERM)
        assert process.died() == 0, process.log.read_text()[-3000:]
    row = site.operation(checkpoint_id=created)
    assert (row.queue_state, row.attempts - row.interruptions) == ("queued", 0)
    (site.cloud.path / "go").touch()

    with started(zygote, files, "second"):
        assert site.wait(created, "available", "error", seconds=240).status == "available"


def test_a_stopped_service_lets_operations_end_within_the_grace_period(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files, "first") as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        process.signal(signal.SIGTERM)
        threading.Timer(1, (site.cloud.path / "go").touch).start()
        assert process.died() == 0
    assert site.checkpoint(created).status == "available"


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_time(zygote: Zygote, files: Path, site: Site, seed: int):
    random_ = random.Random(seed)
    files.write_text(files.read_text().replace("max_attempts = 3", "max_attempts = 100"))
    site.cloud.plant({"a": [f"n{number}" for number in range(8)]} | {f"n{number}": [] for number in range(8)})
    created = [site.protect("a")["id"] for _ in range(3)]
    for attempt in range(4):
        with started(zygote, files, f"attempt-{attempt}") as process:
            until(process.log.read_text, lambda text: "is ready as" in text, 30, "the service")
            # The moment of the kill is random, so real time must pass.
            time.sleep(random_.uniform(0, 3.5))
    with started(zygote, files, "last"):
        for checkpoint_id in created:
            assert site.wait(checkpoint_id, "available", "error").status == "available"
    assert site.things() == []
