"""``kill -9`` anywhere: the operation is finished by the next process, or ends in an error, and nothing is left behind."""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import orm

from karbor_like.db import operations
from tests.functional.protection import entry
from tests.functional.protection.processes import Process, Zygote, started
from tests.functional.protection.site import OTHER_PROVIDER, PROVIDER, Site, running, until, write_provider


@pytest.fixture
def lease() -> int:
    return 3


@pytest.fixture
def site(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Takes calls but runs nothing: that is for processes. The bank is one that can kill."""
    provider = tmp_path / "providers.d" / "test.conf"
    found = Site(tmp_path, files)
    provider.write_text(provider.read_text().replace("bank = filesystem", "bank = deadly"))
    found.cloud.plant({"a": ["b", "c"], "b": [], "c": []})
    yield found
    found.env.close()


def run_until_killed(zygote: Zygote, files: Path, name: str = "first") -> None:
    with started(zygote, files, name) as process:
        assert process.died() == 9, process.log.read_text()[-3000:]


@pytest.mark.parametrize(
    "fault",
    [
        "prepare_begin:a",
        "prepare_finish:b",
        "main:a",
        "main:b",
        "complete:a",
        "store:before put .*/plan.json",
        "store:after put .*/plan.json",
        "store:before put .*events/.*protecting",
        "store:before put .*events/.*available",
        "store:after put .*events/.*available",
    ],
)
def test_a_killed_protect_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    site.cloud.fault(**{fault: "exit"})
    if "plan.json" in fault or "protecting" in fault:
        # As if the process that took the call had died before it put anything into the bank.
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
    """Take a call in a process that dies in it."""
    process = Process(zygote, files, "caller", entry.take_a_call)
    assert process.died() == 9, process.log.read_text()[-3000:]
    return str(site.operation(operation_type="protect").checkpoint_id)


@pytest.mark.parametrize("fault", ["cleanup:b", "cleanup:a", "store:before put .*events/.*error"])
def test_a_killed_undoing_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    site.cloud.fault(**{"main:b": "fail", fault: "exit"})
    created = site.protect("a")["id"]
    run_until_killed(zygote, files)

    with started(zygote, files, "second"):
        row = site.wait(created, "available", "error")

    assert row.status == "error"
    assert row.reason.endswith("the cloud says no to main:b")
    assert site.things() == []
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created).status == "error"


@pytest.mark.parametrize("fault", ["main:b", "complete:a"])
def test_a_killed_restore_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    created = site.protect("a")["id"]
    with started(zygote, files, "first"):
        site.wait(created, "available")
    site.cloud.fault(**{fault: "exit"})
    restore_id = site.restore(created)
    run_until_killed(zygote, files, "second")

    with started(zygote, files, "third"):
        site.wait_done(restore_id=restore_id)

    assert site.restored(restore_id).status == "success"
    assert len(site.things()) == 3, "nothing was made twice"


@pytest.mark.parametrize(
    "fault",
    [
        "main:b",
        "store:before delete .*plan.json",
        "store:after delete .*plan.json",
        "store:after delete .*available",
    ],
)
def test_a_killed_deletion_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    created = site.protect("a")["id"]
    with started(zygote, files, "first"):
        site.wait(created, "available")
    site.cloud.fault(**{fault: "exit"})
    site.delete(created)
    run_until_killed(zygote, files, "second")

    with started(zygote, files, "third"):
        row = site.wait(created, "deleted", "error-deleting")

    assert row.status == "deleted"


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
def test_a_killed_copy_is_finished_by_the_next_process(zygote: Zygote, files: Path, site: Site, fault: str):
    other = write_provider(files.parent, OTHER_PROVIDER, "other", "other-bank")
    site.env.providers.load()
    other.write_text(other.read_text().replace("bank = filesystem", "bank = deadly"))
    content = random.Random(7).randbytes(400_000)
    site.cloud.content("b", content)
    plan_id = site.plan("a")
    created = site.protect(plan_id=plan_id)["id"]
    with started(zygote, files, "first"):
        site.wait(created, "available")
    site.cloud.fault(**{fault: "exit"})
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


def test_an_operation_that_kills_its_process_every_time_is_given_up_and_undone(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "always exit"})
    created = site.protect("a")["id"]
    for attempt in range(3):
        run_until_killed(zygote, files, f"attempt-{attempt}")
    with started(zygote, files, "last"):
        row = site.wait(created, "available", "error")

    assert row.status == "error"
    assert "given up: the process that ran it died 3 times" in row.reason
    assert site.things() == []


def test_an_operation_whose_undoing_kills_too_is_ended_with_what_is_left_named(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "fail", "cleanup:b": "always exit"})
    created = site.protect("a")["id"]
    for attempt in range(6):
        run_until_killed(zygote, files, f"attempt-{attempt}")
    site.cloud.fault(**{"cleanup:b": "fail"})
    with started(zygote, files, "last"):
        row = site.wait(created, "available", "error")

    assert row.status == "error"
    assert "left behind: thing id-karbor-like-" in row.reason


def test_two_services_share_the_work_and_nothing_is_done_twice(zygote: Zygote, files: Path, site: Site):
    files.write_text(files.read_text().replace("drain", "max_operations = 3\ndrain"))
    other = files.with_name("there.conf")
    other.write_text(files.read_text().replace("host = here", "host = there"))
    names = [f"n{number}" for number in range(10)]
    site.cloud.plant({name: [] for name in names})
    site.cloud.fault(**{f"main:{name}": "wait" for name in names})
    created = [site.protect(name)["id"] for name in names]

    def owners() -> set[str]:
        return {str(site.operation(checkpoint_id=found).owner).split(":")[0] for found in created} - {"None"}

    with started(zygote, files, "first"), started(zygote, other, "second"):
        until(owners, lambda found: found == {"here", "there"}, 60, "both services to have taken something")
        (site.cloud.path / "go").touch()
        for checkpoint_id in created:
            assert site.wait(checkpoint_id, "available", "error").status == "available"

    begun = [call for call in site.cloud.calls() if call.endswith(":begin")]
    assert len(begun) == len(set(begun)) == 40
    assert {site.operation(checkpoint_id=checkpoint_id).attempts for checkpoint_id in created} == {1}


def test_a_service_that_lost_its_lease_touches_nothing_more(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    provider = files.parent / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("bank = deadly", "bank = filesystem"))
    with running(Site(files.parent, files)) as loser:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")

        def take(session: orm.Session) -> operations.Claim | None:
            held = operations.latest_of(session, checkpoint_id=created)
            return operations.claim(session, held, "somebody else", 3)

        # As after a pause of its process: somebody else has claimed the operation.
        taken = site.env.database.write(take)
        assert taken is not None
        until(lambda: loser.executor._running, lambda running: not running, 30, "the loser to let go")
        calls = site.cloud.calls()
        (site.cloud.path / "go").touch()
        row = site.wait(created, "available", "error")

    assert row.status == "available"
    assert site.operation(checkpoint_id=created).epoch == taken.epoch + 1
    assert [call for call in calls if ":cleanup:" in call] == [], "the loser undid what was no longer its own"


def test_a_database_that_is_away_for_longer_than_the_lease(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files) as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        away = sqlite3.connect(files.with_name("db.sqlite"), isolation_level=None)
        away.execute("BEGIN EXCLUSIVE")
        # Longer than the lease of three seconds: that time passes is what is tested.
        time.sleep(4)
        (site.cloud.path / "go").touch()
        time.sleep(1)
        away.execute("ROLLBACK")
        away.close()
        row = site.wait(created, "available", "error")

    assert row.status == "available", process.log.read_text()[-3000:]
    assert site.operation(checkpoint_id=created).attempts == 2
    assert [call for call in site.cloud.calls() if ":cleanup:" in call] == []
    assert site.things() == []


def test_a_stopped_service_leaves_its_work_to_the_next_at_once(zygote: Zygote, files: Path, site: Site):
    files.write_text(files.read_text().replace("drain = 10", "drain = 0").replace("lease = 3", "lease = 300"))
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files, "first") as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        process.signal(signal.SIGTERM)
        assert process.died() == 0, process.log.read_text()[-3000:]
    row = site.operation(checkpoint_id=created)
    assert (row.queue_state, row.attempts) == ("queued", 0)
    (site.cloud.path / "go").touch()

    with started(zygote, files, "second"):
        assert site.wait(created, "available", "error").status == "available"


def test_a_stopped_service_lets_work_end_that_ends_in_time(zygote: Zygote, files: Path, site: Site):
    site.cloud.fault(**{"main:b": "wait"})
    created = site.protect("a")["id"]
    with started(zygote, files, "first") as process:
        until(site.cloud.calls, lambda calls: "protect:main:b:begin" in calls, 30, "main of b")
        process.signal(signal.SIGTERM)
        threading.Timer(1, (site.cloud.path / "go").touch).start()
        assert process.died() == 0
    assert site.checkpoint(created).status == "available"


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time(zygote: Zygote, files: Path, site: Site, seed: int):
    random_ = random.Random(seed)
    files.write_text(files.read_text().replace("max_attempts = 3", "max_attempts = 100"))
    site.cloud.plant({"a": [f"n{number}" for number in range(8)]} | {f"n{number}": [] for number in range(8)})
    created = [site.protect("a")["id"] for _ in range(3)]
    for attempt in range(4):
        with started(zygote, files, f"attempt-{attempt}") as process:
            until(process.log.read_text, lambda text: "is ready as" in text, 30, "the service")
            # The moment of the kill is what is random here, so time is what has to pass.
            time.sleep(random_.uniform(0, 3.5))
    with started(zygote, files, "last"):
        for checkpoint_id in created:
            assert site.wait(checkpoint_id, "available", "error").status == "available"
    assert site.things() == []
