"""Manila with the client of this project: states, refusals, snapshots, access rules, quotas, isolation, restart."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import exceptions

from karbor_like.clients.manila import Manila
from karbor_like.sandbox.cloud import Connection, Sandbox
from karbor_like.sandbox.share.shares import TYPES
from tests.functional.sandbox.conftest import waiter

UNKNOWN = "6f1b2c3d-0000-4000-8000-000000000000"


class Tenant:
    """One user of Manila."""

    def __init__(self, cloud: Connection, user: str = "alice", version: str = "2.73") -> None:
        session = cloud.session(user)
        self.project_id = session.get_project_id()
        self.manila = Manila(version, session=session, service_type="sharev2", interface="public")

    def settled(self, collection: str, key: str, status: str = "available") -> dict[str, Any]:
        """Wait until a share or a snapshot has a status."""
        return waiter().until(
            status, lambda: self.manila.show(collection, key), done=lambda found: found["status"] == status
        )

    def gone(self, collection: str, key: str) -> None:
        waiter().until(
            "gone",
            lambda: self.manila.list(collection),
            done=lambda found: key not in [each["id"] for each in found],
        )

    def share(self, **values: Any) -> dict[str, Any]:
        made = self.manila.create("shares", {"size": 1, "share_proto": "NFS", **values})
        return self.settled("shares", made["id"])

    def snapshot(self, share_id: str, **values: Any) -> dict[str, Any]:
        made = self.manila.create("snapshots", {"share_id": share_id, **values})
        return self.settled("snapshots", made["id"])

    def act(self, share_id: str, action: str, **values: Any) -> None:
        self.manila._adapter.post(f"/shares/{share_id}/action", json={action: values})


@pytest.fixture
def alice(cloud: Sandbox) -> Tenant:
    return Tenant(cloud)


def refused(status: int, words: str, call: Callable[[], object]) -> None:
    with pytest.raises(exceptions.HttpError) as caught:
        call()
    assert caught.value.http_status == status
    assert re.search(words, caught.value.response.text)


def test_a_share_of_a_snapshot_has_its_content(cloud: Sandbox, alice: Tenant) -> None:
    share = alice.share(name="data", description="kept", metadata={"a": "b"}, size=2)
    assert (share["name"], share["description"], share["metadata"], share["size"]) == ("data", "kept", {"a": "b"}, 2)
    assert (share["share_type"], share["share_type_name"]) == (TYPES["sandbox"]["id"], "sandbox")
    cloud.write_share(share["id"], "first")
    snapshot = alice.snapshot(share["id"], name="s", description="d", metadata={"c": "d"})
    assert (snapshot["share_id"], snapshot["size"], snapshot["metadata"]) == (share["id"], 2, {"c": "d"})
    cloud.write_share(share["id"], "second")
    copy = alice.share(size=2, snapshot_id=snapshot["id"])
    assert copy["snapshot_id"] == snapshot["id"]
    assert cloud.read_share(copy["id"]) == "first"
    refused(403, "still has 1 dependent snapshots", lambda: alice.manila.delete("shares", share["id"]))
    for collection, key in (("snapshots", snapshot["id"]), ("shares", share["id"]), ("shares", copy["id"])):
        alice.manila.delete(collection, key)
        alice.gone(collection, key)


def test_names_and_metadata_change(alice: Tenant) -> None:
    share = alice.share(name="a", metadata={"a": "1", "b": "2"})["id"]
    snapshot = alice.snapshot(share, name="s")["id"]
    for collection, key in (("shares", share), ("snapshots", snapshot)):
        values = {"display_name": "n", "display_description": "d"}
        changed = alice.manila.update(collection, key, values)
        assert (changed["name"], changed["description"]) == ("n", "d")
        refused(400, "255", partial(alice.manila.update, collection, key, {"display_name": "x" * 256}))
    alice.manila.set_metadata(share, {"b": "3"})
    assert alice.manila.show("shares", share)["metadata"] == {"a": "1", "b": "3"}
    alice.manila.set_metadata(share, {}, replace=True)
    assert alice.manila.show("shares", share)["metadata"] == {}
    refused(400, "blank", lambda: alice.manila.set_metadata(share, {"a": ""}))


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"size": 0}, 400, "greater than 0"),
        ({"share_proto": "HDFS"}, 400, "Invalid share protocol"),
        ({"share_type": "moon"}, 404, "Share type not found"),
        ({"snapshot_id": UNKNOWN}, 404, "could not be found"),
        ({"share_network_id": UNKNOWN}, 404, "Share network .* could not be found"),
        ({"is_public": True}, 403, "Policy doesn't allow"),
    ],
    ids=str,
)
def test_shares_that_are_refused(alice: Tenant, values: dict[str, Any], status: int, words: str) -> None:
    refused(status, words, lambda: alice.share(**values))
    assert alice.manila.list("shares") == []


def test_a_share_of_a_snapshot_is_like_the_snapshots_share(alice: Tenant) -> None:
    networks = [alice.manila.create("share-networks", {"name": name})["id"] for name in "ab"]
    share = alice.share(share_network_id=networks[0], size=2)
    values = {"snapshot_id": alice.snapshot(share["id"])["id"], "size": 2}
    assert alice.share(**values)["share_network_id"] == networks[0]
    for different, words in (
        ({"size": 1}, "greater than snapshot size"),
        ({"share_network_id": networks[1]}, "should be the same"),
        ({"share_type": "sandbox-plain"}, "must match the type"),
        ({"availability_zone": "moon"}, "must be the same as the parent"),
    ):
        refused(400, words, partial(alice.share, **{**values, **different}))


def test_types_without_snapshots(alice: Tenant) -> None:
    plain, frozen = (alice.share(share_type=name) for name in ("sandbox-plain", "sandbox-frozen"))
    assert (plain["snapshot_support"], frozen["create_share_from_snapshot_support"]) == (False, False)
    refused(422, "does not have that capability", lambda: alice.snapshot(plain["id"]))
    snapshot = alice.snapshot(frozen["id"])
    refused(400, "may not be created from snapshot", lambda: alice.share(snapshot_id=snapshot["id"]))


def test_access_rules(cloud: Sandbox, alice: Tenant) -> None:
    share = alice.share()["id"]

    def states(wanted: str) -> list[tuple[str, str, str]]:
        alice_rules = waiter().until(
            wanted,
            lambda: alice.manila.access_rules(share),
            done=lambda rules: {rule["state"] for rule in rules} == {wanted},
        )
        return [(rule["access_type"], rule["access_to"], rule["access_level"]) for rule in alice_rules]

    alice.manila.allow_access(share, {"access_type": "ip", "access_to": "10.0.0.0/8", "access_level": "ro"})
    assert states("active") == [("ip", "10.0.0.0/8", "ro")]
    again = {"access_type": "ip", "access_to": "10.0.0.0/8"}
    refused(400, "Share access ip:10.0.0.0/8 exists", lambda: alice.manila.allow_access(share, again))
    for wrong in ({"access_type": "ip", "access_to": "10.0.0.0/99"}, {"access_type": "dns", "access_to": "a"}):
        refused(400, "Invalid", partial(alice.manila.allow_access, share, wrong))
    alice.act(share, "deny_access", access_id=alice.manila.access_rules(share)[0]["id"])
    waiter().until("gone", lambda: alice.manila.access_rules(share), done=lambda rules: not rules)
    cloud.fault(service="share", path="/action$", kind="error")
    alice.manila.allow_access(share, {"access_type": "user", "access_to": "shop"})
    assert states("error") == [("user", "shop", "rw")]
    assert alice.manila.show("shares", share)["access_rules_status"] == "error"
    refused(400, "not found", lambda: alice.manila.access_rules(UNKNOWN))


def test_states(cloud: Sandbox, alice: Tenant) -> None:
    admin = Tenant(cloud, "admin")
    share = alice.share()["id"]
    snapshot = alice.snapshot(share)["id"]
    refused(403, "Policy", lambda: alice.act(share, "reset_status", status="error"))
    admin.act(share, "reset_status", status="extending")
    refused(403, "must be one of", lambda: alice.manila.delete("shares", share))
    refused(400, "must be available", lambda: alice.snapshot(share))
    refused(400, "invalid state", lambda: alice.manila.allow_access(share, {"access_type": "user", "access_to": "u"}))
    admin.manila._adapter.post(f"/snapshots/{snapshot}/action", json={"reset_status": {"status": "deleting"}})
    refused(400, "must be one of", lambda: alice.manila.delete("snapshots", snapshot))
    refused(400, "status must be 'available'", lambda: alice.share(snapshot_id=snapshot))


def test_failures_have_messages(cloud: Sandbox, alice: Tenant) -> None:
    cloud.fault(service="share", method="POST", path="/shares$", kind="error", reason="no valid host")
    made = alice.manila.create("shares", {"size": 1, "share_proto": "NFS"})["id"]
    alice.settled("shares", made, "error")
    (message,) = alice.manila.list("messages", resource_id=made)
    assert (message["user_message"], message["resource_type"]) == ("no valid host", "SHARE")


def test_quotas(cloud: Sandbox, alice: Tenant) -> None:
    admin, bob, key = Tenant(cloud, "admin"), Tenant(cloud, "bob"), alice.project_id
    limits = {"shares": 2, "gigabytes": 3, "snapshots": 1, "snapshot_gigabytes": 5}
    refused(403, "Policy", lambda: alice.manila.update("quota-sets", key, limits))
    admin.manila.update("quota-sets", key, limits)
    share = alice.share(size=2)["id"]
    refused(413, "gigabytes quota", lambda: alice.share(size=2))
    alice.share()
    admin.manila.update("quota-sets", key, {"gigabytes": -1})
    refused(413, r"number of shares allowed \(2\)", alice.share)
    alice.snapshot(share)
    refused(413, r"number of snapshots allowed \(1\)", lambda: alice.snapshot(share))
    found = alice.manila.show("quota-sets", f"{key}/detail")
    assert found["gigabytes"] == {"limit": -1, "in_use": 3, "reserved": 0}
    assert found["snapshot_gigabytes"] == {"limit": 5, "in_use": 2, "reserved": 0}
    assert alice.manila.show("quota-sets", key)["shares"] == 2
    refused(403, "Policy", lambda: bob.manila.show("quota-sets", f"{key}/detail"))


def test_projects_are_separate(cloud: Sandbox, alice: Tenant) -> None:
    bob, admin = Tenant(cloud, "bob"), Tenant(cloud, "admin")
    share = alice.share()["id"]
    snapshot = alice.snapshot(share)["id"]
    assert [bob.manila.list(kind) for kind in ("shares", "snapshots")] == [[], []]
    for call in (
        lambda: bob.manila.show("shares", share),
        lambda: bob.manila.delete("snapshots", snapshot),
        lambda: bob.share(snapshot_id=snapshot),
        lambda: bob.manila.set_metadata(share, {"a": "b"}),
    ):
        refused(404, "could not be found", call)
    admin.manila.update("shares", share, {"is_public": True})
    assert bob.manila.show("shares", share)["project_id"] == alice.project_id
    refused(404, "could not be found", lambda: bob.manila.delete("shares", share))


def test_old_microversions(cloud: Sandbox, alice: Tenant) -> None:
    share = alice.share()["id"]
    old = Tenant(cloud, version="2.24")
    snapshot = old.snapshot(share, metadata={"a": "b"})
    assert "metadata" not in snapshot
    assert alice.manila.show("snapshots", snapshot["id"])["metadata"] == {}
    key = alice.project_id
    for call in (lambda: old.manila.access_rules(share), lambda: old.manila.show("quota-sets", f"{key}/detail")):
        refused(404, "could not be found", call)
    refused(406, "not supported", lambda: Tenant(cloud, version="2.999").manila.list("shares"))


def test_pages(alice: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karbor_like.clients.rest.PAGE", 2)
    made = [alice.share()["id"] for _ in range(5)]
    assert [share["id"] for share in alice.manila.list("shares")] == made


def test_a_restart_ends_what_was_in_progress(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as cloud:
        cloud.settings(job_delay=0.0)
        alice = Tenant(cloud)
        kept, dying = alice.share()["id"], alice.share()["id"]
        cloud.fault(service="share", kind="hold", times=0)
        snapshot = alice.manila.create("snapshots", {"share_id": kept})["id"]
        half = alice.manila.create("shares", {"size": 1, "share_proto": "NFS"})["id"]
        alice.manila.allow_access(kept, {"access_type": "user", "access_to": "u"})
        alice.manila.delete("shares", dying)
    with Sandbox(tmp_path) as cloud:
        alice = Tenant(cloud)
        assert {share["id"]: share["status"] for share in alice.manila.list("shares")} == {
            kept: "available",
            half: "error",
        }
        assert alice.manila.show("snapshots", snapshot)["status"] == "error"
        assert [rule["state"] for rule in alice.manila.access_rules(kept)] == ["active"]
