"""Actions: states of servers, and locks."""

import pytest

from karbor_like.sandbox import faults
from tests.unit.sandbox.compute.conftest import Caller, Cloud

VM_STATES = {"ACTIVE": "active", "PAUSED": "paused", "SUSPENDED": "suspended", "SHUTOFF": "stopped", "ERROR": "error"}
ALLOWED = {
    "pause": {"ACTIVE"},
    "unpause": {"PAUSED"},
    "suspend": {"ACTIVE"},
    "resume": {"SUSPENDED"},
    "os-stop": {"ACTIVE", "ERROR"},
    "os-start": {"SHUTOFF"},
    "shelve": {"ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF"},
    "unshelve": {"SHELVED_OFFLOADED"},
}


@pytest.mark.parametrize(
    ("action", "task", "status", "back", "power"),
    [
        ("pause", "pausing", "PAUSED", "unpause", 3),
        ("suspend", "suspending", "SUSPENDED", "resume", 7),
        ("os-stop", "powering-off", "SHUTOFF", "os-start", 4),
    ],
)
def test_there_and_back(
    alice: Caller, cloud: Cloud, action: str, task: str, status: str, back: str, power: int
) -> None:
    key = alice.boot()["id"]
    hold = faults.Fault(kind="hold")
    assert alice.call("POST", f"servers/{key}/action", {action: None}, fault=hold)[0] == 202
    shown = alice.call("GET", f"servers/{key}")[1]["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", task)
    assert alice.cannot_act(key, action)[0] == 409
    hold.cleared.set()
    cloud.settle()
    shown = alice.server(key)
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None)
    assert (shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:power_state"]) == (VM_STATES[status], power)
    alice.act(key, back, fault={"kind": "error"})
    assert alice.server(key)["status"] == status
    alice.act(key, back)
    assert alice.server(key)["status"] == "ACTIVE"


@pytest.mark.parametrize("status", [*VM_STATES, "SHELVED_OFFLOADED"])
def test_actions_that_the_state_forbids(alice: Caller, cloud: Cloud, status: str) -> None:
    key = alice.boot()["id"]
    cloud.store.change("server", key, status=status)
    vm_state = VM_STATES.get(status, "shelved_offloaded")
    for action, allowed in ALLOWED.items():
        if status not in allowed:
            name = action.removeprefix("os-")
            expected = (409, f"Cannot '{name}' instance {key} while it is in vm_state {vm_state}")
            assert alice.cannot_act(key, action) == expected
    volume = {"volumeAttachment": {"volumeId": alice.volume()}}
    attached = alice.call("POST", f"servers/{key}/os-volume_attachments", volume)[0]
    assert attached == (409 if status in ("ERROR", "SUSPENDED") else 200)
    tagged = alice.call("PUT", f"servers/{key}/tags", {"tags": []})[0]
    changed = alice.call("POST", f"servers/{key}/metadata", {"metadata": {}})[0]
    assert (tagged == changed == 409) == (status in ("ERROR", "SHELVED_OFFLOADED"))
    interface = alice.call("POST", f"servers/{key}/os-interface", {"interfaceAttachment": {}})[0]
    assert interface == (400 if status in ("ACTIVE", "PAUSED", "SHUTOFF") else 409)


def test_a_server_in_error_can_be_stopped(alice: Caller) -> None:
    server = alice.boot(fault={"kind": "error", "reason": "no host"})
    assert server["fault"]["message"] == "no host"
    alice.act(server["id"], "os-stop")
    server = alice.server(server["id"])
    assert (server["status"], "fault" in server) == ("SHUTOFF", False)


def test_shelving_keeps_volumes(alice: Caller) -> None:
    root = alice.volume()
    device = {"uuid": root, "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    key = alice.boot(block_device_mapping_v2=[device])["id"]
    alice.act(key, "shelve")
    assert (alice.server(key)["status"], alice.cinder(root)["status"]) == ("SHELVED_OFFLOADED", "reserved")
    other = alice.volume()
    alice.ok("POST", f"servers/{key}/os-volume_attachments", {"volumeAttachment": {"volumeId": other}})
    assert alice.cinder(other)["status"] == "reserved"
    alice.act(key, "unshelve")
    assert alice.server(key)["status"] == "ACTIVE"
    for volume in (root, other):
        assert alice.cinder(volume)["attachments"][0]["server_id"] == key


def test_locked_servers(alice: Caller, admin: Caller) -> None:
    key = alice.boot()["id"]
    alice.act(key, "lock", {"locked_reason": "audit"})
    shown = alice.server(key)
    assert (shown["locked"], shown["locked_reason"]) == (True, "audit")
    volume = {"volumeAttachment": {"volumeId": alice.volume()}}
    locked = (409, f"Instance {key} is locked")
    assert alice.cannot_act(key, "pause") == locked
    assert alice.refused("DELETE", f"servers/{key}") == locked
    assert alice.refused("POST", f"servers/{key}/os-volume_attachments", volume) == locked
    assert alice.refused("POST", f"servers/{key}/os-interface", {"interfaceAttachment": {}}) == locked
    assert alice.refused("POST", f"servers/{key}/metadata", {"metadata": {}}) == locked
    assert admin.call("POST", f"servers/{key}/action", {"pause": None})[0] == 202
    alice.cloud.settle()
    alice.act(key, "unlock")
    alice.act(key, "unpause")
    admin.act(key, "lock")
    assert alice.cannot_act(key, "unlock")[0] == 403
    assert alice.cannot_act(key, "lock", {"locked_reason": "x"}, version="2.72")[0] == 400


def test_unknown_actions(alice: Caller) -> None:
    key = alice.boot()["id"]
    assert alice.cannot_act(key, "none-such") == (400, "There is no such action: none-such")
    assert alice.refused("POST", f"servers/{key}/action", {})[0] == 400
