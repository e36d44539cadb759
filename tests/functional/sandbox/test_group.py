"""Cinder's groups of volumes and their snapshots with python-cinderclient."""

from typing import Any

import pytest
from cinderclient import exceptions

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients
from tests.functional.sandbox.test_volume import gone


@pytest.fixture
def kind(admin: Clients) -> Any:
    created = admin.cinder.group_types.create("together", "consistent")
    created.set_keys({"consistent_group_snapshot_enabled": "<is> True"})
    return created


@pytest.fixture
def group(alice: Clients, kind: Any) -> Any:
    """A group of alice with two volumes."""
    created = alice.cinder.groups.create(kind.id, "sandbox", name="g", description="d")
    alice.settled(alice.cinder.groups, created.id)
    volumes = [alice.volume(name="v", volume_type="sandbox") for _ in range(2)]
    alice.cinder.groups.update(created.id, add_volumes=",".join(volume.id for volume in volumes))
    return alice.settled(alice.cinder.groups, created.id)


def test_types_belong_to_administrators(alice: Clients, admin: Clients, kind: Any) -> None:
    with pytest.raises(exceptions.Forbidden):
        alice.cinder.group_types.create("mine")
    with pytest.raises(exceptions.ClientException, match="already exists"):
        admin.cinder.group_types.create("together")
    (seen,) = alice.cinder.group_types.list()
    assert (seen.id, seen.name, seen.description) == (kind.id, "together", "consistent")
    assert not hasattr(seen, "group_specs")
    assert admin.cinder.group_types.get(kind.id).group_specs == {"consistent_group_snapshot_enabled": "<is> True"}
    with pytest.raises(exceptions.NotFound):
        alice.cinder.groups.create("none", "sandbox")


def test_a_volume_in_a_group_is_bound_to_it(
    alice: Clients, bob: Clients, admin: Clients, group: Any, kind: Any
) -> None:
    shown = alice.cinder.groups.get(group.id, list_volume=True)
    assert (shown.name, shown.description, shown.group_type, shown.volume_types) == ("g", "d", kind.id, ["sandbox"])
    first, second = (alice.cinder.volumes.get(key) for key in shown.volumes)
    assert first.group_id == second.group_id == group.id
    with pytest.raises(exceptions.BadRequest, match="belong to a group"):
        alice.cinder.volumes.delete(first.id)
    other = alice.cinder.groups.create(kind.id, "sandbox")
    alice.settled(alice.cinder.groups, other.id)
    fast = alice.volume(volume_type="sandbox-fast")
    for volume_id, text in (
        (first.id, f"already in group {group.id}"),
        (fast.id, "volume type sandbox-fast is not supported"),
        ("none", "volume cannot be found"),
    ):
        with pytest.raises(exceptions.BadRequest, match=text):
            alice.cinder.groups.update(other.id, add_volumes=volume_id)
    with pytest.raises(exceptions.BadRequest, match="it is not in the group"):
        alice.cinder.groups.update(other.id, remove_volumes=first.id)
    with pytest.raises(exceptions.BadRequest, match="no valid name"):
        alice.cinder.groups.update(group.id, name="g")
    with pytest.raises(exceptions.NotFound, match=f"Group {group.id} could not be found"):
        bob.cinder.groups.get(group.id)
    with pytest.raises(exceptions.BadRequest, match="still contains volumes"):
        alice.cinder.groups.delete(group.id)
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        admin.cinder.group_types.delete(kind.id)

    alice.cinder.groups.update(group.id, remove_volumes=first.id)
    alice.settled(alice.cinder.groups, group.id)
    assert alice.cinder.volumes.get(first.id).group_id is None
    alice.cinder.groups.delete(group.id, delete_volumes=True)
    gone(alice.cinder.groups, group.id)
    gone(alice.cinder.volumes, second.id)
    assert alice.cinder.volumes.get(first.id).status == "available"


def test_a_group_snapshot_has_a_snapshot_of_each_volume(cloud: Sandbox, alice: Clients, group: Any) -> None:
    taken = alice.cinder.group_snapshots.create(group.id, name="now")
    taken = alice.settled(alice.cinder.group_snapshots, taken.id)
    assert (taken.name, taken.group_id) == ("now", group.id)
    members = alice.cinder.volume_snapshots.list()
    assert {s.volume_id for s in members} == set(alice.cinder.groups.get(group.id, list_volume=True).volumes)
    assert {(s.name, s.status, s.group_snapshot_id) for s in members} == {("now", "available", taken.id)}
    with pytest.raises(exceptions.BadRequest, match="must not be part of a group"):
        alice.cinder.volume_snapshots.delete(members[0].id)
    backup = alice.cinder.backups.create(members[0].volume_id, snapshot_id=members[0].id)
    alice.settled(alice.cinder.backups, backup.id)
    assert alice.volume(snapshot_id=members[0].id).snapshot_id == members[0].id
    with pytest.raises(exceptions.BadRequest, match="Group has existing snapshots"):
        alice.cinder.groups.delete(group.id, delete_volumes=True)

    alice.cinder.group_snapshots.delete(taken.id)
    gone(alice.cinder.group_snapshots, taken.id)
    assert alice.cinder.volume_snapshots.list() == []
    cloud.fault(service="volume", method="POST", path="/group_snapshots$", kind="error")
    failed = alice.cinder.group_snapshots.create(group.id)
    alice.settled(alice.cinder.group_snapshots, failed.id, "error")
    assert {s.status for s in alice.cinder.volume_snapshots.list()} == {"error"}
    alice.cinder.group_snapshots.delete(failed.id)
    gone(alice.cinder.group_snapshots, failed.id)
