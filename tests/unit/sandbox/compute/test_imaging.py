"""Images of servers."""

import hashlib
import json

import pytest

from karbor_like.sandbox import faults
from karbor_like.sandbox.compute import imaging
from tests.unit.sandbox.compute.conftest import Caller, Cloud, Values


def create(caller: Caller, server: Values, name: str = "i", **kwargs: object) -> Values:
    """Create an image of a server, and return it when it is done."""
    answer = caller.act(server["id"], "createImage", {"name": name, "metadata": {"k": "v"}}, **kwargs)
    return caller.cloud.images.get(caller.identity, answer["image_id"])


def read(caller: Caller, image: Values) -> bytes:
    return b"".join(caller.cloud.images.read(image))


def test_an_image_of_a_root_disk(alice: Caller) -> None:
    parent = alice.image(min_disk=1, hw_disk_bus="virtio")
    one, two = alice.boot(imageRef=parent), alice.boot(imageRef=parent)
    made = create(alice, one)
    assert made["status"] == "active"
    assert made["size"] >= 1 << 16
    assert (made["name"], made["owner"], made["visibility"]) == ("i", alice.identity.project_id, "private")
    assert (made["disk_format"], made["container_format"], made["min_disk"]) == ("raw", "bare", 1)
    properties = {"base_image_ref": parent, "image_type": "snapshot", "instance_uuid": one["id"]}
    assert (properties | {"hw_disk_bus": "virtio", "k": "v"}).items() < made.items()
    again, other = create(alice, one), create(alice, two)
    assert read(alice, made) == read(alice, again) == imaging.content(one["id"])
    assert read(alice, made)[:32] == hashlib.sha256(one["id"].encode()).digest()
    assert read(alice, other) != read(alice, made)
    assert alice.server(one["id"])["OS-EXT-STS:task_state"] is None


def test_the_answer_depends_on_the_microversion(alice: Caller) -> None:
    server = alice.boot()
    body = {"createImage": {"name": "i"}}
    status, answer, response = alice.call("POST", f"servers/{server['id']}/action", body, version="2.44")
    alice.cloud.settle()
    assert (status, answer) == (202, None)
    assert alice.cloud.images.get(alice.identity, response.headers["Location"].rpartition("/")[2])["name"] == "i"


def test_an_image_of_volumes(alice: Caller, cloud: Cloud) -> None:
    root, data = alice.volume(name="root"), alice.volume()
    cloud.volumes.path(data).write_bytes(b"data")
    server = alice.boot(
        block_device_mapping_v2=[
            {"uuid": root, "source_type": "volume", "destination_type": "volume", "boot_index": 0},
            {"uuid": data, "source_type": "volume", "destination_type": "volume", "device_name": "vdf"},
        ]
    )
    made = create(alice, server)
    assert (made["status"], made["size"], made["root_device_name"], made["k"]) == ("active", 0, "/dev/vda", "v")
    mapping = json.loads(made["block_device_mapping"])
    assert [(m["device_name"], m["boot_index"], m["volume_size"]) for m in mapping] == [
        ("/dev/vda", 0, 1),
        ("/dev/vdf", None, 1),
    ]
    snapshots = [cloud.snapshots.get(alice.identity, m["snapshot_id"]) for m in mapping]
    assert [(s["volume_id"], s["status"]) for s in snapshots] == [(root, "available"), (data, "available")]
    assert snapshots[0]["name"] == "snapshot for i"
    assert cloud.snapshots.path(snapshots[1]["id"]).read_bytes()[:4] == b"data"
    assert alice.cannot_boot(imageRef=made["id"])[0] == 400


def test_an_image_of_volumes_over_quota(alice: Caller, cloud: Cloud) -> None:
    root = alice.volume()
    device = {"uuid": root, "source_type": "volume", "destination_type": "volume", "boot_index": 0}
    server = alice.boot(block_device_mapping_v2=[device])
    cloud.quotas.change(str(alice.identity.project_id), {"snapshots": 0})
    assert alice.cannot_act(server["id"], "createImage", {"name": "i"})[0] == 403
    assert cloud.snapshots.all() == []


def test_states_while_an_image_is_saved(alice: Caller, cloud: Cloud) -> None:
    server = alice.boot()
    alice.act(server["id"], "pause")
    fault = faults.Fault(kind="hold")
    body = {"createImage": {"name": "i"}}
    image_id = alice.call("POST", f"servers/{server['id']}/action", body, fault=fault)[1]["image_id"]
    alice.until_task(server["id"], "image_uploading")
    assert cloud.images.get(alice.identity, image_id)["status"] == "saving"
    for name in ("unpause", "createImage"):
        assert alice.cannot_act(server["id"], name, {"name": "j"}) == (
            409,
            f"Cannot '{name}' instance {server['id']} while it is in task_state image_uploading",
        )
    fault.cleared.set()
    cloud.settle()
    assert alice.server(server["id"])["OS-EXT-STS:task_state"] is None
    assert cloud.images.get(alice.identity, image_id)["status"] == "active"
    assert alice.server(server["id"])["status"] == "PAUSED"


def test_an_image_that_fails_vanishes(alice: Caller) -> None:
    server = alice.boot()
    images = [image["id"] for image in alice.cloud.images.all(alice.identity)]
    alice.act(server["id"], "createImage", {"name": "i"}, fault={"kind": "error"})
    assert [image["id"] for image in alice.cloud.images.all(alice.identity)] == images
    shown = alice.server(server["id"])
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", None)


@pytest.mark.parametrize("values", [{}, {"name": ""}, {"name": "i", "metadata": {"k": 1}}, {"name": "i", "x": 1}])
def test_requests_that_are_refused(alice: Caller, values: Values) -> None:
    assert alice.cannot_act(alice.boot()["id"], "createImage", values)[0] == 400


def test_no_image_of_a_failed_server(alice: Caller) -> None:
    server = alice.boot(fault={"kind": "error"})
    assert alice.cannot_act(server["id"], "createImage", {"name": "i"})[0] == 409
