"""Two sites whose projects have other ids, with one bank: the operators map the projects."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import CheckpointRecord
from karbor_like.context import RequestContext
from karbor_like.protection.sync import Sync, SyncReport
from tests.functional.protection.plugins import NODE
from tests.functional.protection.site import PROJECT, PROVIDER, Site, running, write_files

#: The project at the second site.
THERE = "q" * 32
CHECKPOINT = "7c7e6a2e-0000-4000-8000-00000000000a"


@pytest.fixture
def other(tmp_path: Path, files: Path) -> Iterator[Site]:
    """The second site: it shares nothing with the first one but the bank."""
    directory = tmp_path / "there"
    directory.mkdir()
    (directory / "bank").symlink_to(tmp_path / "bank")
    with running(Site(directory, write_files(directory, host="there"))) as found:
        yield found


def map_projects(directory: Path, site: Site, *lines: str) -> None:
    """Change the map in the provider's file, and let the service reload it."""
    path = directory / "providers.d" / "test.conf"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("map_project")]
    at = kept.index("[provider]") + 1
    path.write_text("\n".join([*kept[:at], *(f"map_project = {line}" for line in lines), *kept[at:], ""]))
    site.env.providers.load()


def sync(site: Site) -> SyncReport:
    return Sync(site.env.database, site.env.providers.get(PROVIDER)).run()


def owner(site: Site, checkpoint_id: str) -> tuple[str, str]:
    """Return the project of a checkpoint here, and that in the bank."""
    row = site.checkpoint(checkpoint_id)
    return row.project_id, row.bank_project


def calls(site: Site, context: RequestContext, checkpoint_id: str) -> list[Callable[[], Any]]:
    """Everything that a tenant can do with a checkpoint."""
    actions = (site.restore, site.verify, site.delete)
    return [lambda action=action: action(checkpoint_id, context=context) for action in actions]  # type: ignore[misc]


def test_a_mapped_project_has_the_checkpoints_of_the_other_site(tmp_path: Path, site: Site, other: Site):
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"the first site's bytes")
    (created, second) = (site.protect("a")["id"] for _ in range(2))
    for checkpoint_id in (created, second):
        site.wait(checkpoint_id, "available")
    tenant = other.context(THERE)

    assert sync(other) == SyncReport(added=2)
    assert owner(other, created) == (PROJECT, PROJECT)
    for call in calls(other, tenant, created):
        with pytest.raises(exception.CheckpointNotFound):
            call()

    map_projects(tmp_path / "there", other, f"{PROJECT}: {THERE}")
    assert sync(other) == SyncReport(moved=2)
    assert sync(other) == SyncReport()
    assert owner(other, created) == (THERE, PROJECT)
    for call in calls(other, other.context("r" * 32), created):
        with pytest.raises(exception.CheckpointNotFound):
            call()
    assert other.wait_done(verification_id=other.verify(created, context=tenant)).status == "success"
    restore_id = other.restore(created, context=tenant)
    assert other.wait_done(restore_id=restore_id).status == "success"
    assert other.restored(restore_id).project_id == THERE
    assert [(site.cloud.things / name).read_bytes() for name in site.things()] == [b"the first site's bytes"]

    other.delete(created, context=tenant)
    other.wait(created, "deleted")
    map_projects(tmp_path / "there", other)
    assert sync(other) == SyncReport(moved=2)
    assert owner(other, second) == (PROJECT, PROJECT)


def test_a_checkpoint_of_a_mapped_project_is_added_for_the_project_here(tmp_path: Path, site: Site, other: Site):
    map_projects(tmp_path / "there", other, f"{'x' * 32}, {PROJECT}: {THERE}")
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    assert sync(other) == SyncReport(added=1)
    assert owner(other, created) == (THERE, PROJECT)


def test_failback(tmp_path: Path, site: Site, other: Site):
    """The second site protects in its own project, also the same resource; the first site maps that the other way round."""
    map_projects(tmp_path, site, f"{THERE}: {PROJECT}")
    map_projects(tmp_path / "there", other, f"{PROJECT}: {THERE}")
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"before")
    before = site.protect("a")["id"]
    site.wait(before, "available")
    sync(other)
    site.cloud.content("a", b"at the second site")
    plan = other.plan("a", project_id=THERE)
    after = other.protect(context=other.context(THERE), plan_id=plan)["id"]
    assert other.wait(after, "available", "error").status == "available"
    assert other.env.providers.get(PROVIDER).bank.checkpoints.get(after).project_id == THERE

    assert sync(site) == SyncReport(added=1)
    assert owner(site, after) == (PROJECT, THERE)
    assert site.wait_done(restore_id=site.restore(after)).status == "success"
    assert [(site.cloud.things / name).read_bytes() for name in site.things()] == [b"at the second site"]
    site.delete(after)
    site.wait(after, "deleted")
    assert site.checkpoint(before).status == "available"


def test_a_project_with_plans_is_of_this_site(tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture):
    site.cloud.plant({"a": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    map_projects(tmp_path, site, f"{PROJECT}: {THERE}")
    assert sync(site) == SyncReport()
    assert owner(site, created) == (PROJECT, PROJECT)
    assert "but it has plans here" in caplog.text


def good() -> CheckpointRecord:
    return CheckpointRecord(
        id=CHECKPOINT,
        project_id=PROJECT,
        provider_id=PROVIDER,
        plan={"id": "p", "name": "n", "provider_id": PROVIDER, "resources": [{"type": NODE, "id": "a", "name": "a"}]},
        resource_graph=f'[{{"0x0": ["{NODE}", "a", "a", null]}}, []]',
        extra_info={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"project_id": "../../etc"},
        {"project_id": "p" * 65},
        {"plan": {**good().plan, "resources": [{"type": NODE, "id": "../a"}]}},
        {"plan": {**good().plan, "id": "p" * 37}},
        {"resource_graph": f'[{{"0x0": ["{NODE}", "a/../b", "a", null]}}, []]'},
        {"resource_graph": "[" * 100_000},
        {"extra_info": {"text": "\0"}},
        {"extra_info": {"text": "x" * (5 << 20)}},
        {"created_at": datetime(1970, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_hostile_checkpoint_does_not_stop_the_others(site: Site, changes: dict[str, Any]):
    bank = site.env.providers.get(PROVIDER).bank
    with bank.leases.acquire(holder="test") as lease:
        bank.checkpoints.create(good(), lease)
        bank.checkpoints.create(dataclasses.replace(good(), id=CHECKPOINT[:-1] + "b", **changes), lease)
    assert sync(site) == SyncReport(added=1, unreadable=1)
    assert sync(site) == SyncReport(unreadable=1)


def test_a_hostile_index_does_not_stop_the_sync(site: Site):
    bank = site.env.providers.get(PROVIDER).bank
    with bank.leases.acquire(holder="test") as lease:
        bank.checkpoints.create(good(), lease)
        other = dataclasses.replace(
            good(), id=CHECKPOINT[:-1] + "b", provider_id="33333333-3333-4333-8333-333333333333"
        )
        bank.checkpoints.create(other, lease)
    bank.checkpoints.index.put(dataclasses.replace(good(), id="a\0b"))
    bank.checkpoints.index.put(dataclasses.replace(other, provider_id=PROVIDER))
    assert sync(site) == SyncReport(added=1, unreadable=2)
