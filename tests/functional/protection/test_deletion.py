"""Deletions that fail halfway: a retry finishes them, and no site treats a half deleted checkpoint as available."""

from datetime import timedelta
from pathlib import Path

import pytest
from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.toolkit.deletion import SectionDelete
from karbor_like.protection import runner
from karbor_like.protection import sync as module
from karbor_like.protection.flows import builder, delete
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.sync import Sync, SyncReport
from tests.functional.protection import plugins
from tests.functional.protection.site import PROVIDER, Site, running, until, write_files
from tests.functional.protection.stores import intercept


class StoredNodeProtection(plugins.NodeProtection):
    """A plugin that deletes as those for volumes and images do."""

    operations = {**plugins.NodeProtection.operations, OperationType.DELETE: SectionDelete}


@pytest.fixture
def created(site: Site) -> str:
    """An available checkpoint with content."""
    site.cloud.plant({"a": ["b"], "b": []})
    for name in "ab":
        site.cloud.content(name, name.encode() * 3000)
    found = site.protect("a")["id"]
    site.wait(found, "available")
    return found


def bank_of(site: Site):
    return site.env.providers.get(PROVIDER).bank


@pytest.mark.parametrize("broken", ["-available.json", "plan.json"])
def test_a_deletion_that_failed_after_its_tombstone_is_retried_to_the_end(
    tmp_path: Path, site: Site, created: str, broken: str
):
    path = tmp_path / "providers.d" / "test.conf"
    stored = f"{__name__}:StoredNodeProtection"
    path.write_text(path.read_text().replace(f"{plugins.__name__}:NodeProtection", stored))
    site.env.providers.load()
    bank = bank_of(site)
    seen, faulty = set(), [True]

    def before(what: str) -> None:
        seen.add(what)
        buried = any(what.startswith("put ") and what.endswith("/deleted") for what in seen)
        if faulty and buried and what.startswith("delete ") and broken in what:
            raise errors.AccessDenied("the store says no")

    intercept(bank.store, before)
    site.delete(created)
    row = site.wait(created, "error-deleting", "deleted")
    assert row.status == "error-deleting"
    assert "the bank of the provider refuses access" in row.reason

    faulty.clear()
    site.delete(created)

    row = site.wait(created, "error-deleting", "deleted")
    assert (row.status, row.reason) == ("deleted", None)
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.get(created)


@pytest.fixture
def other(tmp_path: Path, files: Path):
    """A second site: its own database, the same bank."""
    path = write_files(tmp_path, host="there", database=f"sqlite:///{tmp_path}/there.sqlite")
    with running(Site(tmp_path, path)) as found:
        yield found


def sync(site: Site) -> SyncReport:
    return Sync(site.env.database, site.env.providers.get(PROVIDER)).run()


def test_the_bank_records_a_deletion_before_anything_is_deleted(site: Site, other: Site, created: str):
    site.cloud.fault(**{"main:b": "wait"})
    site.delete(created)
    until(site.cloud.calls, lambda calls: "delete:main:b:begin" in calls, 30, "main of b")
    assert bank_of(site).checkpoints.get(created).status == "deleting"
    assert sync(other) == SyncReport(added=1)
    assert other.checkpoint(created).status == "deleting"

    site.cloud.fault(**{"main:b": "fail"})
    site.endpoint.cancel(site.context(), operation_id=site.operation(checkpoint_id=created).id)
    site.wait(created, "error-deleting")

    assert bank_of(site).checkpoints.get(created).status == "error-deleting"
    assert sync(other) == SyncReport(changed=1)
    assert other.checkpoint(created).status == "error-deleting"
    site.cloud.fault()
    other.delete(created)
    assert other.wait(created, "deleted", "error-deleting").status == "deleted"


def test_a_deletion_that_stalled_elsewhere_can_be_finished_here(site: Site, other: Site, created: str, monkeypatch):
    bank_of(site).checkpoints.event(created, "deleting")
    monkeypatch.setattr(module, "_STALLED", timedelta(0))

    assert sync(other) == SyncReport(added=1)

    assert other.checkpoint(created).status == "error-deleting"
    other.delete(created)
    assert other.wait(created, "deleted", "error-deleting").status == "deleted"


def test_a_flow_that_was_saved_without_the_first_task_is_resumed(
    site: Site, tmp_path: Path, files: Path, created, monkeypatch
):
    def build(operation: OperationSession) -> Flow:
        flow = linear_flow.Flow(f"delete {operation.spec.checkpoint_id}")
        return flow.add(builder.resources(operation), delete.DeleteCheckpoint(operation))

    site.cloud.fault(**{"main:b": "wait"})
    monkeypatch.setitem(runner.FLOWS, OperationType.DELETE, build)
    site.delete(created)
    until(site.cloud.calls, lambda calls: "delete:main:b:begin" in calls, 30, "main of b")
    site.executor.stop(0)
    assert site.operation(checkpoint_id=created).queue_state == "queued"
    monkeypatch.undo()
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "cloud"))
    site.cloud.fault()

    with running(Site(tmp_path, files)) as later:
        row = later.wait(created, "deleted", "error-deleting")

    assert (row.status, row.reason) == ("deleted", None)
    assert "delete:main:b:end" in site.cloud.calls()


@pytest.mark.parametrize("refusal", [errors.AccessDenied("it is read-only"), errors.BankFull("no room")])
@pytest.mark.parametrize("before", ["available", "error"])
def test_a_deletion_that_the_bank_refuses_changes_nothing(
    site: Site, created: str, refusal: errors.BankError, before: str
):
    if before == "error":
        site.endpoint.reset_checkpoint(site.context(), provider_id=PROVIDER, checkpoint_id=created, state="error")
    row, broken = site.checkpoint(created), [True]

    def refuse(what: str) -> None:
        if broken and what.startswith("put "):
            raise refusal

    intercept(bank_of(site).store, refuse)
    site.delete(created)
    operation = site.wait_done(checkpoint_id=created, operation_type="delete")

    assert (operation.status, operation.error_info) == ("error-deleting", refusal.public)
    after = site.checkpoint(created)
    assert (after.status, after.reason, after.stored_bytes) == (before, refusal.public, row.stored_bytes)
    assert "delete:main:b:begin" not in site.cloud.calls()
    assert bank_of(site).checkpoints.get(created).status == before
    broken.clear()
    site.delete(created)
    assert site.wait(created, "deleted", "error-deleting").status == "deleted"


def test_a_deletion_that_is_cancelled_before_it_begins_changes_nothing(tmp_path: Path, files: Path):
    with running(Site(tmp_path, files)) as first:
        first.cloud.plant({"a": []})
        created = first.protect("a")["id"]
        first.wait(created, "available")
    idle = Site(tmp_path, files)
    idle.delete(created)
    idle.endpoint.cancel(idle.context(), operation_id=idle.operation(checkpoint_id=created).id)
    with running(idle):
        operation = idle.wait_done(checkpoint_id=created, operation_type="delete")
        assert (operation.status, operation.error_info) == ("error-deleting", "cancelled")
        row = idle.checkpoint(created)
        assert (row.status, row.reason) == ("available", "cancelled")
        assert [event.status for event in bank_of(idle).checkpoints.get(created).events] == ["protecting", "available"]
