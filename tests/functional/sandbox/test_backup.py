"""Cinder's backups with python-cinderclient."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cinderclient import client as cinderclient
from cinderclient import exceptions
from keystoneauth1.session import Session

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import GIBIBYTE, Clients
from tests.functional.sandbox.test_volume import gone

DATA = os.urandom(3 << 20)


@pytest.fixture
def volume(cloud: Sandbox, alice: Clients) -> Any:
    """A volume of alice that starts with DATA and has some more data at its end."""
    created = alice.volume(name="data", description="what is kept", metadata={"colour": "red"})
    cloud.write_volume(created.id, DATA)
    cloud.write_volume(created.id, DATA[:1000], offset=GIBIBYTE - 1000)
    return created


def backed_up(user: Clients, volume_id: str, **kwargs: Any) -> Any:
    return user.settled(user.cinder.backups, user.cinder.backups.create(volume_id, **kwargs).id)


def restored(user: Clients, backup_id: str, volume_id: str, status: str = "available") -> Any:
    user.cinder.restores.restore(backup_id, volume_id)
    user.settled(user.cinder.volumes, volume_id, status)
    return user.settled(user.cinder.backups, backup_id)


def stored(cloud_dir: Path) -> int:
    """Return the bytes of all backups."""
    return sum(path.stat().st_size for path in cloud_dir.glob("*.data"))


def at(version: str, session: Session) -> Any:
    return cinderclient.Client(version, session=session).backups


def test_full_and_incremental_backups_are_restored(cloud: Sandbox, tmp_path: Path, alice: Clients, volume: Any) -> None:
    full = backed_up(alice, volume.id, name="full", description="d", container="c")
    shown = full.to_dict()
    assert {key: shown[key] for key in ("name", "description", "size", "volume_id", "container", "fail_reason")} == {
        **{"name": "full", "description": "d", "size": 1, "volume_id": volume.id, "container": "c"},
        "fail_reason": None,
    }
    assert (full.is_incremental, full.has_dependent_backups, full.snapshot_id) == (False, False, None)
    assert full.data_timestamp == full.created_at
    digest, before = cloud.volume_digest(volume.id), stored(tmp_path / "cloud/backups")
    assert len(DATA) < before < len(DATA) + (1 << 20)

    cloud.write_volume(volume.id, b"new", offset=70_000)
    cloud.write_volume(volume.id, bytes(1 << 20), offset=1 << 20)
    second = backed_up(alice, volume.id, incremental=True)
    third = backed_up(alice, volume.id, incremental=True)
    assert (second.is_incremental, second.container) == (True, "volumebackups")
    assert stored(tmp_path / "cloud/backups") == before + (32 << 10)
    assert [alice.cinder.backups.get(b.id).has_dependent_backups for b in (full, second, third)] == [True, True, False]

    target = alice.volume(name="kept")
    cloud.write_volume(target.id, os.urandom(GIBIBYTE))
    restored(alice, third.id, target.id)
    assert cloud.volume_digest(target.id) == cloud.volume_digest(volume.id)
    restored(alice, full.id, target.id)
    assert cloud.volume_digest(target.id) == digest
    shown = alice.cinder.volumes.get(target.id)
    assert (shown.name, shown.metadata) == ("kept", {"colour": "red", "src_backup_id": full.id})


def test_a_restore_without_a_volume_makes_one(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    backup = backed_up(alice, volume.id)
    answer = alice.cinder.restores.restore(backup.id)
    assert (answer.backup_id, answer.volume_name) == (backup.id, f"restore_backup_{backup.id}")

    made = alice.settled(alice.cinder.volumes, answer.volume_id)
    assert (made.name, made.description, made.size) == ("data", "what is kept", 1)
    assert cloud.volume_digest(made.id) == cloud.volume_digest(volume.id)
    assert alice.cinder.restores.restore(backup.id, name="mine").volume_name == "mine"


def test_a_backup_from_a_snapshot_leaves_the_volume_usable(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    digest = cloud.volume_digest(volume.id)
    old = alice.settled(alice.cinder.volume_snapshots, alice.cinder.volume_snapshots.create(volume.id).id)
    first = backed_up(alice, volume.id)
    snapshot = alice.settled(alice.cinder.volume_snapshots, alice.cinder.volume_snapshots.create(volume.id).id)
    cloud.write_volume(volume.id, b"later")
    backed_up(alice, volume.id)
    held = cloud.fault(service="volume", method="POST", path="/backups$", kind="hold")
    backup = alice.cinder.backups.create(volume.id, snapshot_id=snapshot.id, incremental=True)
    assert alice.cinder.volume_snapshots.get(snapshot.id).status == "backing-up"
    assert alice.cinder.volumes.get(volume.id).status == "available"
    with pytest.raises(exceptions.BadRequest, match="Snapshot status must be available"):
        alice.cinder.volume_snapshots.delete(snapshot.id)
    with pytest.raises(exceptions.BadRequest, match='must be available, but the current status is "backing-up"'):
        alice.cinder.backups.create(volume.id, snapshot_id=snapshot.id)
    cloud.clear_faults(held)

    backup = alice.settled(alice.cinder.backups, backup.id)
    assert (backup.snapshot_id, backup.is_incremental) == (snapshot.id, True)
    assert backup.data_timestamp == snapshot.created_at
    assert alice.cinder.backups.get(first.id).has_dependent_backups
    assert alice.cinder.volume_snapshots.get(snapshot.id).status == "available"
    target = alice.volume()
    restored(alice, backup.id, target.id)
    assert cloud.volume_digest(target.id) == digest
    with pytest.raises(exceptions.BadRequest, match="does not match with snapshot.volume_id"):
        alice.cinder.backups.create(target.id, snapshot_id=old.id)


def test_states_of_volumes_and_backups(cloud: Sandbox, alice: Clients, admin: Clients, volume: Any) -> None:
    with pytest.raises(exceptions.BadRequest, match="No backups available to do an incremental backup"):
        alice.cinder.backups.create(volume.id, incremental=True)
    held = cloud.fault(service="volume", method="POST", path="/backups$", kind="hold")
    backup = alice.cinder.backups.create(volume.id)
    assert alice.cinder.backups.get(backup.id).status == "creating"
    assert alice.cinder.volumes.get(volume.id).status == "backing-up"
    for call, text in (
        (lambda: alice.cinder.backups.create(volume.id, force=True), 'current status is "backing-up"'),
        (lambda: alice.cinder.backups.create(volume.id, incremental=True, force=True), "current status"),
        (lambda: alice.cinder.backups.delete(backup.id), "Backup status must be available or error"),
        (lambda: alice.cinder.restores.restore(backup.id, volume.id), "Backup status must be available"),
        (lambda: admin.cinder.backups.export_record(backup.id), "must be available and not creating"),
        (lambda: alice.cinder.volume_snapshots.create(volume.id), "backing-up"),
    ):
        with pytest.raises(exceptions.BadRequest, match=text):
            call()
    cloud.clear_faults(held)
    alice.settled(alice.cinder.backups, backup.id)
    assert alice.cinder.volumes.get(volume.id).status == "available"

    child = backed_up(alice, volume.id, incremental=True)
    with pytest.raises(exceptions.BadRequest, match="Incremental backups exist for this backup"):
        alice.cinder.backups.delete(backup.id)
    alice.cinder.backups.delete(child.id)
    gone(alice.cinder.backups, child.id)
    assert not alice.cinder.backups.get(backup.id).has_dependent_backups
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.backups.reset_state(backup.id, "error")
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.backups.delete(backup.id, force=True)
    with pytest.raises(exceptions.BadRequest, match="Backup status: creating is invalid"):
        admin.cinder.backups.reset_state(backup.id, "creating")
    admin.cinder.backups.reset_state(backup.id, "error")
    alice.cinder.backups.delete(backup.id)
    gone(alice.cinder.backups, backup.id)


def test_a_backup_that_is_being_made_can_be_deleted_by_force(
    cloud: Sandbox, tmp_path: Path, alice: Clients, admin: Clients, volume: Any
) -> None:
    held = cloud.fault(service="volume", method="POST", path="/backups$", kind="hold")
    backup = alice.cinder.backups.create(volume.id)
    admin.cinder.backups.delete(backup.id, force=True)
    gone(alice.cinder.backups, backup.id)
    cloud.clear_faults(held)
    alice.settled(alice.cinder.volumes, volume.id)
    assert stored(tmp_path / "cloud/backups") == 0


def test_a_volume_in_use_needs_force(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    server = alice.nova.servers.create("s", image=alice.image().id, flavor=alice.nova.flavors.list()[0].id, nics="none")
    alice.settled(alice.nova.servers, server.id, "ACTIVE")
    alice.nova.volumes.create_server_volume(server.id, volume.id)
    alice.settled(alice.cinder.volumes, volume.id, "in-use")
    with pytest.raises(exceptions.BadRequest, match="must use the force flag"):
        alice.cinder.backups.create(volume.id)

    held = cloud.fault(service="volume", method="POST", path="/backups$", kind="hold")
    backup = alice.cinder.backups.create(volume.id, force=True)
    assert {v.name for v in alice.cinder.volumes.list()} == {"data", f"backup-vol-{volume.id}"}
    cloud.clear_faults(held)
    alice.settled(alice.cinder.backups, backup.id)
    assert [v.status for v in alice.cinder.volumes.list()] == ["in-use"]
    with pytest.raises(exceptions.BadRequest, match="Volume to be restored to must be available"):
        alice.cinder.restores.restore(backup.id, volume.id)
    larger = alice.volume(2)
    backup = backed_up(alice, larger.id)
    with pytest.raises(exceptions.BadRequest, match="volume size 1 is too small to restore backup of size 2"):
        alice.cinder.restores.restore(backup.id, alice.volume().id)


def test_faults(cloud: Sandbox, alice: Clients, volume: Any) -> None:
    cloud.fault(service="volume", method="POST", path="/backups$", kind="error", reason="no space")
    failed = alice.settled(alice.cinder.backups, alice.cinder.backups.create(volume.id).id, "error")
    assert failed.fail_reason == "no space"
    assert alice.cinder.volumes.get(volume.id).status == "available"

    backup = backed_up(alice, volume.id)
    target = alice.volume()
    cloud.fault(service="volume", method="POST", path="/restore$", kind="error")
    restored(alice, backup.id, target.id, "error_restoring")
    (message,) = alice.cinder.messages.list(search_opts={"resource_uuid": backup.id})
    assert message.user_message == "restore backup:Backup driver failed to restore backup."
    assert (message.resource_type, message.event_id) == ("VOLUME_BACKUP", "VOLUME_VOLUME_BACKUP_015_026")

    child = backed_up(alice, volume.id, incremental=True)
    cloud.fault(service="volume", method="POST", path=f"{backup.id}/restore$", kind="lose")
    alice.cinder.volumes.delete(target.id)
    target = alice.volume()
    restored(alice, backup.id, target.id, "error_restoring")
    target = alice.volume()
    restored(alice, child.id, target.id, "error_restoring")
    failed = alice.cinder.backups.create(volume.id, container="a/b")
    assert "a/b" in alice.settled(alice.cinder.backups, failed.id, "error").fail_reason
    cloud.fault(service="volume", method="POST", path="/backups$", kind="lose")
    lost = backed_up(alice, volume.id)
    restored(alice, lost.id, alice.volume().id, "error_restoring")


@pytest.fixture
def site(cloud: Sandbox, tmp_path: Path) -> Iterator[Sandbox]:
    """A second sandbox, which shares nothing with the first one but the store of its backups."""
    with Sandbox(tmp_path / "site", backups_dir=tmp_path / "cloud/backups") as sandbox:
        sandbox.settings(job_delay=0.0, gib=GIBIBYTE)
        yield sandbox


def test_another_site_restores_from_imported_records(
    cloud: Sandbox, site: Sandbox, alice: Clients, admin: Clients, volume: Any
) -> None:
    full = backed_up(alice, volume.id, name="full", metadata={"k": "v"})
    cloud.write_volume(volume.id, b"new")
    child = backed_up(alice, volume.id, incremental=True)
    with pytest.raises(exceptions.Forbidden, match="backup:export-import"):
        alice.cinder.backups.export_record(full.id)
    records = [admin.cinder.backups.export_record(backup.id) for backup in (full, child)]
    parent_ids = [json.loads(base64.b64decode(record["backup_url"]))["parent_id"] for record in records]
    assert parent_ids == [None, full.id]

    there, tenant = Clients(site, "karbor"), Clients(site, "alice")
    last = records[1]
    with pytest.raises(exceptions.Forbidden, match="backup:backup-import"):
        tenant.cinder.backups.import_record(**last)
    there.cinder.backups.import_record(**last)
    shown = there.settled(there.cinder.backups, child.id)
    assert (shown.volume_id, shown.size, shown.is_incremental) == (volume.id, 1, True)
    with pytest.raises(exceptions.BadRequest, match="Backup already exists in database"):
        there.cinder.backups.import_record(**last)
    target = tenant.volume()
    restored(there, child.id, target.id, "error_restoring")
    tenant.cinder.volumes.delete(target.id)

    there.cinder.backups.import_record(**records[0])
    shown = there.settled(there.cinder.backups, full.id)
    project = getattr(shown, "os-backup-project-attr:project_id")
    assert (shown.name, shown.metadata, project) == ("full", {"k": "v"}, there.session.get_project_id())
    assert tenant.cinder.backups.list() == []
    target = tenant.volume()
    restored(there, child.id, target.id)
    assert site.volume_digest(target.id) == cloud.volume_digest(volume.id)

    there.cinder.backups.delete(child.id)
    gone(there.cinder.backups, child.id)
    assert alice.cinder.backups.get(child.id).status == "available"
    restored(alice, child.id, alice.volume().id, "error_restoring")
    alice.cinder.backups.delete(child.id)
    gone(alice.cinder.backups, child.id)


def test_bad_records(admin: Clients) -> None:
    def record(**values: Any) -> str:
        return base64.b64encode(json.dumps(values).encode()).decode()

    for url, text in (
        ("a", "is not a 'base64'"),
        (base64.b64encode(b"{").decode(), "Can't parse backup record"),
        (record(size=1), "missing an id"),
        (record(id="x"), "missing size"),
    ):
        with pytest.raises(exceptions.BadRequest, match=text):
            admin.cinder.backups.import_record("cinder.backup.drivers.swift.SwiftBackupDriver", url)
    imports = {
        "a" * 32: ("cinder.backup.drivers.nfs.NFSBackupDriver", "cannot find backup service to perform the import"),
        "b" * 32: ("cinder.backup.drivers.swift.SwiftBackupDriver", "missing fields"),
    }
    for key, (service, text) in imports.items():
        admin.cinder.backups.import_record(service, record(id=key, size=1))
        assert text in admin.settled(admin.cinder.backups, key, "error").fail_reason


def test_lists_microversions_and_other_projects(alice: Clients, bob: Clients, admin: Clients, volume: Any) -> None:
    first = backed_up(alice, volume.id, name="one", metadata={"k": "v"})
    second = backed_up(alice, volume.id, name="two")
    backups = alice.cinder.backups
    assert [b.id for b in backups.list(detailed=False)] == [second.id, first.id]
    assert [b.id for b in backups.list(search_opts={"name": "one", "volume_id": volume.id})] == [first.id]
    assert [b.id for b in backups.list(limit=1, marker=second.id)] == [first.id]
    backups.update(first.id, name="new", description="other", metadata={"k": "w"})
    assert (backups.get(first.id).name, backups.get(first.id).metadata) == ("new", {"k": "w"})

    assert not hasattr(at("3.42", alice.session).get(first.id), "metadata")
    assert not hasattr(backups.get(first.id), "os-backup-project-attr:project_id")
    shown = at("3.18", admin.session).get(first.id)
    assert getattr(shown, "os-backup-project-attr:project_id") == alice.session.get_project_id()
    assert not hasattr(shown, "user_id")
    assert admin.cinder.backups.get(first.id).user_id == alice.session.get_user_id()
    for call in (bob.cinder.backups.get, bob.cinder.backups.delete, bob.cinder.restores.restore):
        with pytest.raises(exceptions.NotFound, match=f"Backup {first.id} could not be found"):
            call(first.id)
    assert bob.cinder.backups.list() == admin.cinder.backups.list() == []
    assert len(admin.cinder.backups.list(search_opts={"all_tenants": 1})) == 2

    url = f"{alice.session.get_endpoint(service_type='volumev3')}/backups"
    old = {"OpenStack-API-Version": "volume 3.42"}
    bad: tuple[dict[str, Any], ...] = ({"metadata": {}}, {"volume_id": "x"}, {"force": "maybe"}, {"name": "n" * 256})
    for values in bad:
        body = {"backup": {"volume_id": volume.id, **values}}
        assert alice.session.post(url, json=body, headers=old, raise_exc=False).status_code == 400


def test_quotas(alice: Clients, admin: Clients, volume: Any) -> None:
    project = alice.session.get_project_id()
    admin.cinder.quotas.update(project, backups=2, backup_gigabytes=1, snapshots=0, volumes=1)
    backed_up(alice, volume.id)
    with pytest.raises(exceptions.OverLimit, match="Requested 1G, quota is 1G and 1G has been consumed"):
        alice.cinder.backups.create(volume.id)
    admin.cinder.quotas.update(project, backups=1, backup_gigabytes=-1)
    with pytest.raises(exceptions.OverLimit, match="Maximum number of backups allowed .1. exceeded"):
        alice.cinder.backups.create(volume.id)
    with pytest.raises(exceptions.OverLimit, match="number of snapshots"):
        alice.cinder.volume_snapshots.create(volume.id)
    with pytest.raises(exceptions.OverLimit, match="for quota 'volumes'"):
        alice.cinder.volumes.create(1)
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.quotas.update(project, backups=2)
    assert alice.cinder.quotas.get(project, usage=True).backups == {"limit": 1, "in_use": 1, "reserved": 0}
    absolute = {limit.name: limit.value for limit in alice.cinder.limits.get().absolute}
    assert (absolute["maxTotalBackups"], absolute["totalBackupsUsed"], absolute["totalVolumesUsed"]) == (1, 1, 1)


def test_a_restart_resolves_transitional_states(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as cloud:
        cloud.settings(job_delay=0.0, gib=GIBIBYTE)
        alice = Clients(cloud, "alice")
        volume, target = alice.volume(), alice.volume()
        kept, going = backed_up(alice, volume.id), backed_up(alice, volume.id)
        cloud.fault(service="volume", kind="hold", times=0)
        creating = alice.cinder.backups.create(volume.id)
        alice.cinder.restores.restore(kept.id, target.id)
        alice.cinder.backups.delete(going.id)

    with Sandbox(tmp_path) as cloud:
        alice = Clients(cloud, "alice")
        found = {backup.id: backup.status for backup in alice.cinder.backups.list()}
        assert found == {kept.id: "available", creating.id: "error"}
        assert alice.cinder.backups.get(creating.id).fail_reason == "incomplete backup reset on manager restart"
        assert {v.id: v.status for v in alice.cinder.volumes.list()} == {
            volume.id: "available",
            target.id: "error_restoring",
        }
