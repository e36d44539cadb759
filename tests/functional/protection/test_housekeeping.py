"""Synchronization with the bank, and jobs that run once when they are due."""

import dataclasses
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.control import database as archived
from karbor_like.control import recovery
from karbor_like.db import jobs
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import Checkpoint, PeriodicJob
from karbor_like.db.operations import OPERATIONS
from karbor_like.protection import failed
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.protection.sync import Sync, SyncReport
from tests.fixtures.endpoint import unwrap
from tests.functional.protection.site import PROJECT, PROVIDER, Site, running, until, write_files


@pytest.fixture
def other(tmp_path: Path, files: Path):
    """A second site: its own database, the same bank."""
    path = write_files(tmp_path, host="there", database=f"sqlite:///{tmp_path}/there.sqlite")
    with running(Site(tmp_path, path)) as found:
        yield found


def change(site: Site, checkpoint_id: str, values: Mapping[str, Any]) -> None:
    site.env.database.write(lambda session: CHECKPOINTS.update(session, checkpoint_id, values))


def sync(site: Site, *, force: bool = False) -> SyncReport:
    return Sync(site.env.database, site.env.providers.get(PROVIDER), force=force).run()


def test_what_another_site_protected_can_be_listed_and_restored(site: Site, other: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a", extra_info={"n": 1})
    mine = site.wait(created["id"], "available")

    assert sync(other) == SyncReport(added=1)
    assert sync(other) == SyncReport()

    row = other.checkpoint(created["id"])
    for column in sorted(name.key for name in Checkpoint.__table__.columns):
        if column != "updated_at":
            assert getattr(row, column) == getattr(mine, column), column
    assert other.wait_done(restore_id=other.restore(created["id"])).status == "success"


def test_what_another_site_deleted_is_deleted(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    sync(other)
    # Listings may lag, so a young row is not treated as missing.
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    other.env.database.write(lambda session: CHECKPOINTS.update(session, created, {"created_at": long_ago}))
    site.delete(created)
    site.wait(created, "deleted")

    assert sync(other) == SyncReport(deleted=1)
    assert other.checkpoint(created).status == "deleted"
    assert other.checkpoint(created).deleted_at is not None


def available(site: Site, number: int) -> list[str]:
    """Checkpoints that are old enough to be treated as missing."""
    site.cloud.plant({"a": []})
    created = [site.protect("a")["id"] for _ in range(number)]
    long_ago = {"created_at": datetime.now(UTC) - timedelta(hours=5)}
    for one in created:
        site.wait(one, "available")
        change(site, one, long_ago)
    return created


def lose(site: Site, checkpoint_id: str) -> None:
    """Remove all objects of the checkpoint from the bank, as an operator might."""
    store = site.env.providers.get(PROVIDER).bank.store
    for prefix in ("checkpoints/", "indices/"):
        for info in store.list(prefix):
            if checkpoint_id in info.key:
                store.delete(info.key)


def statuses(site: Site, created: list[str]) -> list[str]:
    return [site.checkpoint(one).status for one in created]


def test_a_bank_that_is_unreachable_deletes_nothing(tmp_path: Path, site: Site):
    created = available(site, 2)
    bank, away = tmp_path / "bank", tmp_path / "away"
    bank.rename(away)
    bank.mkdir()

    with pytest.raises(
        exception.Unavailable,
        match="no trace of 2 of its 2 .* check that it is mounted and that the container is right",
    ):
        sync(site)
    assert statuses(site, created) == ["available", "available"]

    bank.rename(tmp_path / "empty")
    away.rename(bank)
    assert sync(site) == SyncReport()


def test_checkpoints_reappear_with_the_bank(tmp_path: Path, site: Site):
    created = available(site, 2)
    bank, away = tmp_path / "bank", tmp_path / "away"
    bank.rename(away)
    bank.mkdir()
    assert sync(site, force=True) == SyncReport(deleted=2)
    assert statuses(site, created) == ["deleted", "deleted"]
    bank.rename(tmp_path / "empty")
    away.rename(bank)

    assert sync(site) == SyncReport(changed=2)

    row = site.checkpoint(created[0])
    assert (row.status, row.deleted_at, row.reason) == ("available", None, "it is in the bank again")
    assert site.wait_done(restore_id=site.restore(created[0])).status == "success"
    assert sync(site) == SyncReport()


def test_a_checkpoint_with_a_tombstone_does_not_reappear(site: Site):
    (created,) = available(site, 1)
    store = site.env.providers.get(PROVIDER).bank.store
    kept = {info.key: store.get(info.key) for prefix in ("checkpoints/", "indices/") for info in store.list(prefix)}
    site.delete(created)
    site.wait(created, "deleted")
    for key, data in kept.items():
        store.put(key, data)

    assert sync(site) == SyncReport()
    assert site.checkpoint(created).status == "deleted"


def test_up_to_half_of_the_checkpoints_may_be_missing_without_a_trace(site: Site):
    created = available(site, 4)
    for one in created[:2]:
        lose(site, one)
    assert sync(site) == SyncReport(deleted=2)
    lose(site, created[2])
    assert sync(site) == SyncReport(deleted=1)
    lose(site, created[3])
    with pytest.raises(exception.Unavailable, match="no trace of 1 of its 1"):
        sync(site)


def test_no_checkpoint_is_deleted_when_most_are_missing_without_a_trace(site: Site):
    created = available(site, 3)
    for one in created[:2]:
        lose(site, one)
    with pytest.raises(exception.Unavailable, match="no trace of 2 of its 3"):
        sync(site)
    assert statuses(site, created) == ["available"] * 3
    assert sync(site, force=True) == SyncReport(deleted=2)


def test_the_cost_of_a_look_does_not_depend_on_the_checkpoints_that_have_not_changed(site: Site):
    """Those of a large site, with their plans and graphs, do not fit into the memory."""
    first = available(site, 1)
    statements: list[str] = []
    loaded: list[Any] = []
    engine = site.env.database.engine

    def execute(conn: Any, cursor: Any, text: str, *rest: Any) -> None:
        if "FROM checkpoints" in text:
            statements.append(text)

    def load(row: Any, context: Any) -> None:
        loaded.append(row)

    def count() -> int:
        statements.clear()
        sa.event.listen(engine, "before_cursor_execute", execute)
        sa.event.listen(Checkpoint, "load", load)
        assert sync(site) == SyncReport()
        sa.event.remove(Checkpoint, "load", load)
        sa.event.remove(engine, "before_cursor_execute", execute)
        assert loaded == []
        return len(statements)

    one = count()
    assert statuses(site, [*first, *available(site, 3)]) == ["available"] * 4
    assert count() == one


def test_a_checkpoint_in_progress_elsewhere_is_followed_until_its_end(site: Site, other: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "wait"})
    created = site.protect("a")["id"]
    until(site.cloud.calls, lambda calls: "protect:main:a:begin" in calls, 30, "main of a")
    assert sync(other) == SyncReport(added=1)
    assert other.checkpoint(created).status == "protecting"
    with pytest.raises(exception.CheckpointNotAvailable, match="is 'protecting'"):
        other.restore(created)

    (site.cloud.path / "go").touch()
    site.wait(created, "available")

    assert sync(other) == SyncReport(changed=1)
    assert other.checkpoint(created).status == "available"


MADE = datetime(2031, 3, 1, tzinfo=UTC)


def recover(site: Site, other: Site) -> None:
    """Load the other site's database from an archive of this one."""
    with site.env.database.snapshot() as connection:
        members = list(archived.dump(connection))
    flows = other.env.flows.persistence
    archived.load(other.env.database, iter(members), lambda session: recovery.recover(session, flows, MADE))


def start_protect(site: Site) -> str:
    """Return the id of a checkpoint whose operation waits in the cloud."""
    site.cloud.fault(**{"main:a": "wait"})
    created = str(site.protect("a")["id"])
    until(site.cloud.calls, lambda calls: "protect:main:a:begin" in calls, 30, "main of a")
    return created


def test_a_checkpoint_in_progress_ends_at_once_after_a_recovery(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = start_protect(site)
    recover(site, other)
    assert other.checkpoint(created).status == "protecting", "the bank may know of its end"

    assert sync(other) == SyncReport(changed=1)
    row = other.checkpoint(created)
    assert (row.status, "recovered from an archive of 2031-03-01" in row.reason) == ("error", True)
    bank = other.env.providers.get(PROVIDER).bank
    assert bank.checkpoints.get(created).status == "error"
    assert sync(other) == SyncReport()
    # The lost site was not as dead as it seemed.
    (site.cloud.path / "go").touch()
    site.wait(created, "error")
    assert bank.checkpoints.get(created).status == "error"

    unwrap(lambda: other.endpoint.delete_checkpoint(other.context(), provider_id=PROVIDER, checkpoint_id=created))
    other.wait(created, "deleted")


def test_what_the_lost_site_completed_is_available_after_a_recovery(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = start_protect(site)
    recover(site, other)
    (site.cloud.path / "go").touch()
    site.wait(created, "available")
    assert sync(other) == SyncReport(changed=1)
    assert other.checkpoint(created).status == "available"


def test_a_checkpoint_that_the_index_does_not_show_ends_at_once_after_a_recovery(site: Site, other: Site):
    """One that was just requested, and a copy that waited: only the former has begun in the bank."""
    site.cloud.plant({"a": []})
    shown = start_protect(site)
    bank = site.env.providers.get(PROVIDER).bank
    record = bank.checkpoints.get(shown)
    waiting: dict[str, str] = {}
    for status in ("protecting", "wait_copying"):
        waiting[status] = str(uuid.uuid4())
        values = {"id": waiting[status], "status": status, "created_at": datetime.now(UTC), "resource_graph": ""}
        values |= {"plan_id": str(uuid.uuid4()), "project_id": PROJECT, "provider_id": PROVIDER, "plan": {}}
        kind = "protect" if status == "protecting" else "copy"
        queued = {"operation_type": kind, "status": status, "checkpoint_id": waiting[status], "queue_state": "queued"}
        queued |= {"project_id": PROJECT, "provider_id": str(uuid.uuid4()), "created_at": datetime.now(UTC)}
        with site.env.database.writer() as session:
            CHECKPOINTS.insert(session, extra_info={}, **values)
            OPERATIONS.insert(session, **queued)
    with bank.leases.acquire(holder="the lost site") as lease:
        bank.checkpoints.begin(dataclasses.replace(record, id=waiting["protecting"]), lease)
    recover(site, other)

    assert sync(other) == SyncReport(changed=3)
    assert statuses(other, [shown, *waiting.values()]) == ["error"] * 3
    assert bank.checkpoints.get(waiting["protecting"]).status == "error"
    assert waiting["protecting"] in {entry.id for entry in bank.checkpoints.index.list()}
    (site.cloud.path / "go").touch()


def test_a_recovery_ends_no_checkpoint_while_the_bank_is_away(site: Site, other: Site, tmp_path: Path):
    site.cloud.plant({"a": []})
    created = start_protect(site)
    recover(site, other)
    bank, away = tmp_path / "bank", tmp_path / "away"
    bank.rename(away)
    bank.mkdir()
    assert sync(other) == SyncReport()
    bank.rmdir()
    away.rename(bank)
    assert sync(other) == SyncReport(changed=1)
    assert other.checkpoint(created).status == "error"
    (site.cloud.path / "go").touch()


def test_a_checkpoint_in_use_is_left_alone(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "wait"})
    created = site.protect("a")["id"]
    assert sync(site) == SyncReport()
    (site.cloud.path / "go").touch()
    site.wait(created, "available")
    assert sync(site) == SyncReport()


def test_an_unreadable_checkpoint_does_not_stop_the_others(site: Site, other: Site):
    site.cloud.plant({"a": []})
    created = [site.protect("a")["id"] for _ in range(2)]
    for checkpoint_id in created:
        site.wait(checkpoint_id, "available")
    site.env.providers.get(PROVIDER).bank.store.put(f"checkpoints/{created[0]}/plan.json", b"garbage")

    assert sync(other) == SyncReport(added=1, unreadable=1)


def test_one_of_many_processes_runs_a_job_when_it_is_due(site: Site):
    site.cloud.plant({"a": []})
    housekeepers = [Housekeeping(site.env), Housekeeping(site.env)]
    for housekeeper in housekeepers:
        housekeeper.run_due()
    with site.env.database.reader() as session:
        rows = session.execute(sa.select(PeriodicJob)).scalars().all()
    assert {row.name for row in rows} == {f"{job} {PROVIDER}" for job in ("sync", "collect", "orphans", "failed")}
    assert not site.env.database.write(lambda session: jobs.take(session, f"sync {PROVIDER}", "me", 10))


def test_a_job_that_fails_unexpectedly_does_not_stop_the_others(site: Site, caplog: pytest.LogCaptureFixture):
    site.env.database.write(lambda session: session.execute(sa.text("DROP TABLE checkpoints")))
    Housekeeping(site.env).run_due()
    with site.env.database.reader() as session:
        done = jobs.done_times(session, jobs.COLLECT)
    assert set(done) == {PROVIDER}
    assert f"sync {PROVIDER} failed" in caplog.text


def test_the_collection_counts_what_the_bank_holds(site: Site):
    """Two checkpoints share their data, which counts once."""
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"data" * 1000)
    for _ in range(2):
        site.wait(site.protect("a")["id"], "available")
    Housekeeping(site.env).run_due()
    with site.env.database.reader() as session:
        result, _ = jobs.results(session, jobs.COLLECT)[PROVIDER]
    store = site.env.providers.get(PROVIDER).bank.store
    packs = [info.size for info in store.list("data/")]
    assert packs
    assert result == {jobs.STORED_BYTES: sum(packs)}


OLD = {"updated_at": datetime(2020, 1, 1, tzinfo=UTC), "logical_bytes": None}


def complete(site: Site) -> str:
    """A checkpoint whose status was reset to error after it was complete."""
    created = site.protect("a")["id"]
    site.wait(created, "available")
    unwrap(
        lambda: site.endpoint.reset_checkpoint(
            site.context(), provider_id=PROVIDER, checkpoint_id=created, state="error"
        )
    )
    return created


def incomplete(site: Site, number: int = 1) -> list[str]:
    created = [site.protect("b")["id"] for _ in range(number)]
    for checkpoint_id in created:
        site.wait(checkpoint_id, "error")
    return created


def test_checkpoints_that_failed_long_ago_are_deleted_unless_they_were_complete(site: Site):
    site.cloud.plant({"a": [], "b": []})
    kept = complete(site)
    site.cloud.fault(**{"main:b": "fail"})
    old, recent = incomplete(site, 2)
    provider = site.env.providers.get(PROVIDER)
    for checkpoint_id in (kept, old):
        change(site, checkpoint_id, OLD)

    assert failed.delete_failed(site.env, provider, 7) == (1, "")
    assert site.wait(old, "deleted", "error-deleting").reason is None
    assert failed.delete_failed(site.env, provider, 7) == (0, "")
    assert [site.checkpoint(checkpoint_id).status for checkpoint_id in (kept, recent)] == ["error", "error"]
    with pytest.raises(exception.NotFound):
        provider.bank.checkpoints.get(old)


def test_failed_checkpoints_that_are_kept_do_not_delay_later_ones(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(failed, "_BATCH", 1)
    site.cloud.plant({"a": [], "b": []})
    site.cloud.fault(**{"main:b": "fail"})
    kept, [old] = complete(site), incomplete(site)
    for checkpoint_id in (kept, old):
        change(site, checkpoint_id, OLD)
    due = sa.update(PeriodicJob).where(PeriodicJob.name == f"failed {PROVIDER}").values(due_at=OLD["updated_at"])
    for _ in range(2):
        Housekeeping(site.env).run_due()
        site.env.database.write(lambda session: session.execute(due))
    assert site.wait(old, "deleted", "error-deleting").reason is None
    assert site.checkpoint(kept).status == "error"


def test_a_bank_that_does_not_answer_is_asked_once_in_a_run(site: Site, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def answer(key: str, *args: Any) -> Any:
        asked.append(key)
        raise errors.ConnectionFailed("no answer")

    site.cloud.plant({"b": []})
    site.cloud.fault(**{"main:b": "fail"})
    old = sorted(incomplete(site, 2))
    for checkpoint_id in old:
        change(site, checkpoint_id, OLD)
    provider = site.env.providers.get(PROVIDER)
    for name in ("get", "list", "stat"):
        monkeypatch.setattr(provider.bank.store, name, answer)
    last = ""
    for checkpoint_id in old:
        _, last = failed.delete_failed(site.env, provider, 7, last)
        assert last == checkpoint_id
    assert failed.delete_failed(site.env, provider, 7, last) == (0, "")
    assert len(asked) == len(old)
