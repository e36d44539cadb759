"""Fields of servers, and who sees and changes them."""

import base64
import io
from pathlib import Path

import pytest

from karbor_like.sandbox import faults
from tests.unit.sandbox.compute.conftest import Caller, Cloud, Values

USER_DATA = base64.b64encode(b"#cloud-config").decode()
FIRST = {
    "locked": "2.9",
    "description": "2.19",
    "tags": "2.26",
    "trusted_image_certificates": "2.63",
    "server_groups": "2.71",
    "locked_reason": "2.73",
    "OS-EXT-SRV-ATTR:hostname": "2.90",
    "pinned_availability_zone": "2.96",
}


def number(version: str) -> int:
    return int(version.partition(".")[2])


def test_what_a_server_shows(alice: Caller, admin: Caller) -> None:
    image = alice.image()
    made = alice.boot(
        imageRef=image,
        name=" web_1.Example ".strip(),
        description="d",
        tags=["b", "a"],
        metadata={"k": "v"},
        availability_zone="nova",
        config_drive=True,
        user_data=USER_DATA,
        **{"OS-DCF:diskConfig": "AUTO"},
    )
    expected = {
        "name": "web_1.Example",
        "description": "d",
        "tags": ["a", "b"],
        "metadata": {"k": "v"},
        "OS-EXT-AZ:availability_zone": "nova",
        "pinned_availability_zone": "nova",
        "config_drive": "True",
        "OS-DCF:diskConfig": "AUTO",
        "OS-EXT-SRV-ATTR:hostname": "web-1-example",
        "image": {"id": image, "links": []},
        "tenant_id": alice.identity.project_id,
        "locked": False,
        "server_groups": [],
    }
    assert expected.items() <= made.items()
    assert "id" not in made["flavor"]
    assert made["flavor"]["extra_specs"] == {}
    assert alice.server(made["id"], "2.46")["flavor"]["id"] == "1"
    assert not {"OS-EXT-SRV-ATTR:user_data", "OS-EXT-SRV-ATTR:root_device_name"} & set(made)
    seen = admin.server(made["id"])
    assert seen["OS-EXT-SRV-ATTR:user_data"] == USER_DATA
    assert seen["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/vda"
    assert "OS-EXT-SRV-ATTR:user_data" not in admin.server(made["id"], "2.2")
    for version in ("2.1", *FIRST.values()):
        present = {name for name, first in FIRST.items() if number(version) >= number(first)}
        assert set(FIRST) & set(alice.server(made["id"], version)) == present


def test_what_a_plain_server_shows(alice: Caller) -> None:
    made = alice.boot(name="__")
    assert (made["description"], made["tags"], made["config_drive"]) == (None, [], "")
    assert (made["pinned_availability_zone"], made["OS-EXT-AZ:availability_zone"]) == (None, "nova")
    assert made["OS-EXT-SRV-ATTR:hostname"] == f"server-{made['id']}"
    assert alice.server(alice.boot(version="2.18", networks=None)["id"])["description"] == "web"


@pytest.mark.parametrize(
    ("version", "values"),
    [
        ("2.96", {"name": ""}),
        ("2.96", {"name": " x"}),
        ("2.96", {"name": None}),
        ("2.96", {"flavorRef": "99"}),
        ("2.96", {"flavorRef": None}),
        ("2.96", {"imageRef": "none-such"}),
        ("2.96", {"availability_zone": "elsewhere"}),
        ("2.96", {"user_data": "not base64!"}),
        ("2.96", {"user_data": "QQ==" * 16384}),
        ("2.96", {"metadata": {"k": 1}}),
        ("2.96", {"tags": ["a,b"]}),
        ("2.96", {"tags": [f"t{i}" for i in range(51)]}),
        ("2.96", {"hostname": "a b"}),
        ("2.93", {"hostname": "a.b"}),
        ("2.89", {"hostname": "ab"}),
        ("2.51", {"tags": ["t"]}),
        ("2.18", {"description": "d"}),
        ("2.96", {"colour": "red"}),
        ("2.96", {"max_count": 2}),
        ("2.96", {"config_drive": "perhaps"}),
    ],
    ids=str,
)
def test_servers_that_are_refused(alice: Caller, version: str, values: Values) -> None:
    assert alice.cannot_boot(version=version, **values)[0] == 400


def test_an_image_must_be_active(alice: Caller, cloud: Cloud) -> None:
    queued = cloud.images.create(alice.identity, {"disk_format": "raw", "container_format": "bare"})["id"]
    assert alice.cannot_boot(imageRef=queued) == (400, f"Image {queued} is not active.")


def test_changes(alice: Caller) -> None:
    key = alice.boot(hostname="first")["id"]
    changed = alice.ok("PUT", f"servers/{key}", {"server": {"name": "n", "description": None, "hostname": "a.b"}})
    assert changed["server"] == alice.server(key)
    shown = alice.server(key)
    assert (shown["name"], shown["description"], shown["OS-EXT-SRV-ATTR:hostname"]) == ("n", None, "a.b")
    for version, values in (("2.89", {"hostname": "ab"}), ("2.18", {"description": "d"}), ("2.96", {"name": ""})):
        assert alice.refused("PUT", f"servers/{key}", {"server": values}, version=version)[0] == 400


def test_metadata(alice: Caller) -> None:
    path = f"servers/{alice.boot(metadata={'a': '1'})['id']}/metadata"
    assert alice.ok("POST", path, {"metadata": {"b": "2"}}) == {"metadata": {"a": "1", "b": "2"}}
    assert alice.ok("PUT", path, {"metadata": {"c": "3"}}) == {"metadata": {"c": "3"}}
    assert alice.ok("PUT", f"{path}/d", {"meta": {"d": "4"}}) == {"meta": {"d": "4"}}
    assert alice.ok("GET", f"{path}/d") == {"meta": {"d": "4"}}
    alice.ok("DELETE", f"{path}/c")
    assert alice.ok("GET", path) == {"metadata": {"d": "4"}}
    assert alice.refused("DELETE", f"{path}/c") == (404, "Metadata item was not found")
    assert alice.refused("PUT", f"{path}/d", {"meta": {"e": "4"}})[0] == 400
    assert alice.refused("POST", path, {"metadata": {"k": 1}})[0] == 400


def test_tags(alice: Caller) -> None:
    path = f"servers/{alice.boot(tags=['a'])['id']}/tags"
    assert alice.call("PUT", f"{path}/b")[0] == 201
    assert alice.call("PUT", f"{path}/b")[0] == 204
    assert alice.ok("GET", path) == {"tags": ["a", "b"]}
    assert alice.call("GET", f"{path}/a")[0] == 204
    assert alice.call("DELETE", f"{path}/a")[0] == 204
    assert alice.refused("DELETE", f"{path}/a")[0] == 404
    assert alice.ok("PUT", path, {"tags": ["d", "c", "c"]}) == {"tags": ["c", "d"]}
    assert alice.call("DELETE", path)[0] == 204
    assert alice.ok("GET", path) == {"tags": []}
    assert alice.refused("PUT", path, {"tags": [""]})[0] == 400
    assert alice.refused("PUT", f"{path}/a,b")[0] == 400
    assert alice.refused("GET", path, version="2.25")[0] == 404
    alice.ok("PUT", path, {"tags": [f"t{i}" for i in range(50)]})
    assert alice.refused("PUT", f"{path}/more")[0] == 400


def test_servers_of_other_projects(alice: Caller, bob: Caller, admin: Caller) -> None:
    key = alice.boot()["id"]
    path = f"servers/{key}"
    for method, tail, body in (
        ("GET", "", None),
        ("PUT", "", {"server": {"name": "x"}}),
        ("DELETE", "", None),
        ("POST", "/action", {"pause": None}),
        ("POST", "/action", {"lock": None}),
        ("POST", "/action", {"createImage": {"name": "i"}}),
        ("POST", "/metadata", {"metadata": {}}),
        ("PUT", "/tags", {"tags": []}),
        ("GET", "/os-volume_attachments", None),
        ("POST", "/os-volume_attachments", {"volumeAttachment": {"volumeId": bob.volume()}}),
        ("POST", "/os-interface", {"interfaceAttachment": {}}),
    ):
        assert bob.refused(method, path + tail, body)[0] == 404, (method, tail)
    assert bob.servers() == []
    assert admin.server(key)["id"] == key


def test_flavors(alice: Caller) -> None:
    found = alice.ok("GET", "flavors/detail")["flavors"]
    assert [(f["id"], f["name"], f["ram"], f["disk"], f["extra_specs"]) for f in found] == [
        ("1", "m1.tiny", 512, 1, {}),
        ("2", "m1.small", 2048, 20, {}),
        ("3", "m1.medium", 4096, 40, {}),
    ]
    assert "extra_specs" not in alice.ok("GET", "flavors/3", version="2.60")["flavor"]
    assert alice.ok("GET", "flavors/3/os-extra_specs") == {"extra_specs": {}}
    assert alice.refused("GET", "flavors/99")[0] == 404
    assert alice.boot(flavorRef="http://nova/flavors/3")["flavor"]["vcpus"] == 2


def test_zones(alice: Caller) -> None:
    (zone,) = alice.ok("GET", "os-availability-zone")["availabilityZoneInfo"]
    assert (zone["zoneName"], zone["zoneState"]) == ("nova", {"available": True})


def test_a_server_is_deleted_while_it_is_built(alice: Caller, cloud: Cloud, net: Values) -> None:
    hold = faults.Fault(kind="hold")
    root = alice.volume()
    devices = [
        {"uuid": root, "source_type": "volume", "destination_type": "volume", "boot_index": 0},
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True},
    ]
    body = alice.body({"networks": [{"uuid": net["id"]}], "block_device_mapping_v2": devices})
    key = alice.call("POST", "servers", body, fault=hold)[1]["server"]["id"]
    shown = alice.call("GET", f"servers/{key}")[1]["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"], shown["addresses"]) == ("BUILD", "spawning", {})
    assert alice.cannot_act(key, "pause")[0] == 409
    alice.call("DELETE", f"servers/{key}")
    hold.cleared.set()
    cloud.settle()
    assert alice.servers() == []
    assert alice.neutron.all("port") == []
    assert [(v["id"], v["status"]) for v in cloud.volumes.all()] == [(root, "available")]


def test_a_restart_resolves_interrupted_actions(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    alice = Caller(cloud, "1" * 32, "member")
    net = alice.neutron.make("network")
    alice.neutron.subnet(net["id"])
    ports = [alice.neutron.make("port", network_id=net["id"])["id"] for _ in range(2)]
    deleted, paused, imaged = (
        alice.boot(networks=[{"port": p}] if p else "none")["id"] for p in (ports[0], None, None)
    )
    hold = faults.Fault(kind="hold")
    built = alice.call("POST", "servers", alice.body({"networks": [{"port": ports[1]}]}), fault=hold)[1]["server"]["id"]
    alice.call("POST", f"servers/{paused}/action", {"pause": None}, fault=hold)
    image = alice.call("POST", f"servers/{imaged}/action", {"createImage": {"name": "i"}}, fault=hold)[1]["image_id"]
    alice.until_task(imaged, "image_uploading")
    alice.call("DELETE", f"servers/{deleted}", fault=hold)
    cloud.close()

    cloud = Cloud(tmp_path)
    alice = Caller(cloud, "1" * 32, "member")
    found = {s["id"]: (s["status"], s["OS-EXT-STS:task_state"]) for s in alice.servers()}
    assert found == {built: ("ERROR", None), paused: ("ACTIVE", None), imaged: ("ACTIVE", None)}
    assert cloud.images.get(alice.identity, image)["status"] == "queued"
    assert [alice.neutron.show("port", port)["device_id"] for port in ports] == ["", ""]
    cloud.images.store_bytes(image, io.BytesIO(b"x"))
    cloud.close()
