"""Disks: block device mappings of new servers, and attached volumes."""

import pytest

from tests.unit.sandbox.compute.conftest import GIB, Caller, Cloud, Values


def disk(source: str, uuid: str | None = None, **values: object) -> Values:
    given = {"source_type": source, "destination_type": "volume", **values}
    return given if uuid is None else {**given, "uuid": uuid}


def local(image_id: str) -> Values:
    """The mapping of the image of a server, which novaclient adds."""
    return disk("image", image_id, destination_type="local", boot_index=0, delete_on_termination=True)


def test_a_server_with_all_kinds_of_volumes(alice: Caller, cloud: Cloud) -> None:
    root, data, image = alice.volume(name="root"), alice.volume(), alice.image(b"image bytes")
    cloud.volumes.path(data).write_bytes(b"data")
    snapshot = alice.snapshot(data)
    server = alice.boot(
        block_device_mapping_v2=[
            disk("image", image, volume_size=2, tag="of-image", device_name="vdf"),
            disk("volume", root, boot_index=0, delete_on_termination=True, tag="root"),
            disk("snapshot", snapshot, device_name="/dev/vdc", boot_index=-1),
            disk("blank", volume_size=1, delete_on_termination="true"),
            disk("volume", data, boot_index=1, volume_size=None) | {"volume_size": 1},
        ]
    )
    assert server["status"] == "ACTIVE"
    assert server["image"] == ""
    found = alice.attachments(server["id"])
    assert [(a["device"], a["tag"], a["delete_on_termination"]) for a in found] == [
        ("/dev/vdf", "of-image", False),
        ("/dev/vda", "root", True),
        ("/dev/vdc", None, False),
        ("/dev/vdb", None, True),
        ("/dev/vdd", None, False),
    ]
    of_image, first, of_snapshot, blank, second = (a["volumeId"] for a in found)
    assert (first, second) == (root, data)
    assert alice.cinder(of_image)["size"] == 2
    assert cloud.volumes.path(of_image).read_bytes()[:11] == b"image bytes"
    assert cloud.volumes.path(of_snapshot).read_bytes()[:4] == b"data"
    assert cloud.volumes.path(blank).read_bytes() == bytes(GIB)
    for each in found:
        (attachment,) = alice.cinder(each["volumeId"])["attachments"]
        assert (attachment["server_id"], attachment["device"]) == (server["id"], each["device"])
        assert attachment["attachment_id"] == each["attachment_id"]
    assert server["os-extended-volumes:volumes_attached"] == [
        {"id": a["volumeId"], "delete_on_termination": a["delete_on_termination"]} for a in found
    ]

    alice.ok("DELETE", f"servers/{server['id']}")
    assert alice.servers() == []
    assert {v["id"] for v in cloud.volumes.all()} == {of_image, of_snapshot, data}
    assert alice.cinder(data)["status"] == "available"


def test_data_volumes_beside_an_image(alice: Caller) -> None:
    image, data = alice.image(), alice.volume()
    devices = [local(image), disk("volume", data, boot_index=-1)]
    server = alice.boot(imageRef=image, block_device_mapping_v2=devices)
    assert server["image"]["id"] == image
    assert [(a["volumeId"], a["device"]) for a in alice.attachments(server["id"])] == [(data, "/dev/vdb")]


def test_mappings_that_are_refused(alice: Caller, bob: Caller) -> None:
    image, data, snapshot = alice.image(), alice.volume(), alice.snapshot(alice.volume())
    used = alice.volume()
    alice.boot(block_device_mapping_v2=[disk("volume", used, boot_index=0)])
    boot = {"boot_index": 0}
    boot_sequence = "Boot sequence"
    for devices, reason in (
        ([disk("volume", data)], boot_sequence),
        ([disk("volume", data, boot_index=1)], boot_sequence),
        ([disk("volume", data, boot_index=None)], boot_sequence),
        ([disk("volume", data, **boot), disk("image", image, volume_size=1, **boot)], boot_sequence),
        ([disk("volume", **boot)], "Missing device UUID"),
        ([disk("blank", data, **boot)], "Invalid device UUID"),
        ([disk("blank", **boot)], "non-zero size"),
        ([disk("image", image, **boot)], "non-zero size"),
        ([disk("image", data, volume_size=1, **boot)], "failed to get image"),
        ([disk("snapshot", data, **boot)], "failed to get snapshot"),
        ([disk("volume", snapshot, **boot)], "failed to get volume"),
        ([disk("volume", bob.volume(), **boot)], "failed to get volume"),
        ([disk("volume", used, **boot)], "must be 'available'"),
        ([disk("blank", volume_size=1, volume_type="none-such", **boot)], "none-such"),
        ([disk("none-such", data, **boot)], "source_type"),
        ([disk("volume", data, boot_index="first")], "boot_index"),
        ([disk("volume", data, colour="red", **boot)], "colour"),
        ([disk("volume", data, tag="a,b", **boot)], "tag"),
        (
            [disk("volume", data, device_name="vdb", **boot), disk("blank", volume_size=1, device_name="vdb")],
            "more than",
        ),
        ([disk("volume", data, **boot), disk("blank", volume_size=1, destination_type="local")], "Ephemeral"),
        ([disk("volume", data, **boot), disk("image", image, destination_type="local")], "local is not supported"),
    ):
        status, message = alice.cannot_boot(block_device_mapping_v2=devices)
        assert status == 400, devices
        assert reason in message, devices
    assert alice.cinder(data)["status"] == "available"


def test_what_does_not_fit_an_image(alice: Caller) -> None:
    image, data = alice.image(), alice.volume()
    root = disk("volume", data, boot_index=0)
    for devices in ([root], [local(image), root], [local(image), local(image)], [disk("volume", data)]):
        status, message = alice.cannot_boot(imageRef=image, block_device_mapping_v2=devices)
        assert (status, "Boot sequence" in message) == (400, True), devices
    devices = [local(image), disk("volume", data, device_name="vda")]
    assert alice.cannot_boot(imageRef=image, block_device_mapping_v2=devices)[0] == 400
    assert alice.cannot_boot(block_device_mapping_v2=[])[0] == 400
    assert alice.cannot_boot(imageRef=alice.image(min_ram=1024)) == (
        400,
        "Flavor's memory is too small for requested image.",
    )
    assert alice.cannot_boot(imageRef=alice.image(min_disk=2))[0] == 400


@pytest.mark.parametrize(("version", "allowed"), [("2.31", False), ("2.32", True), ("2.33", False), ("2.42", True)])
def test_tags_of_disks_by_microversion(alice: Caller, version: str, allowed: bool) -> None:
    devices = [disk("volume", alice.volume(), boot_index=0, tag="t")]
    body = alice.body({"block_device_mapping_v2": devices}, version=version)
    assert alice.call("POST", "servers", body, version=version)[0] == (202 if allowed else 400)


def test_a_volume_that_cannot_be_made_fails_the_server(alice: Caller, cloud: Cloud, net: Values) -> None:
    image = alice.image(disk_format="qcow2")
    data = alice.volume()
    server = alice.boot(
        networks=[{"uuid": net["id"]}],
        block_device_mapping_v2=[
            disk("volume", data, boot_index=0),
            disk("blank", volume_size=1, delete_on_termination=True),
            disk("image", image, volume_size=1),
        ],
    )
    assert (server["status"], "qcow2" in server["fault"]["message"]) == ("ERROR", True)
    assert server["addresses"] == {}
    assert alice.neutron.all("port") == []
    assert alice.cinder(data)["status"] == "in-use"
    alice.ok("DELETE", f"servers/{server['id']}")
    assert alice.cinder(data)["status"] == "available"
    assert sorted(v["status"] for v in cloud.volumes.all()) == ["available", "error"]


def test_attached_volumes(alice: Caller, bob: Caller) -> None:
    server = alice.boot()
    path = f"servers/{server['id']}/os-volume_attachments"
    one, two, three = (alice.volume() for _ in range(3))
    made = alice.ok("POST", path, {"volumeAttachment": {"volumeId": one, "device": "/dev/vdc"}})["volumeAttachment"]
    assert made["id"] == one
    alice.ok("POST", path, {"volumeAttachment": {"volumeId": two, "tag": "t", "delete_on_termination": True}})
    found = [
        (a["volumeId"], a["device"], a["tag"], a["delete_on_termination"]) for a in alice.attachments(server["id"])
    ]
    assert found == [(one, "/dev/vdc", None, False), (two, "/dev/vdb", "t", True)]
    for values, status in (
        ({"volumeId": three, "device": "vdc"}, 409),
        ({"volumeId": one}, 400),
        ({"volumeId": bob.volume()}, 404),
        ({"volume": three}, 400),
    ):
        assert alice.refused("POST", path, {"volumeAttachment": values})[0] == status
    assert alice.refused("POST", path, {"volumeAttachment": {"volumeId": three, "tag": "t"}}, version="2.48")[0] == 400
    alice.ok("PUT", f"{path}/{one}", {"volumeAttachment": {"volumeId": one, "delete_on_termination": True}})
    assert alice.ok("GET", f"{path}/{one}")["volumeAttachment"]["delete_on_termination"] is True
    alice.ok("DELETE", f"{path}/{one}")
    assert alice.refused("GET", f"{path}/{one}")[0] == 404
    assert alice.cinder(one)["status"] == "available"


def test_the_volume_that_a_server_boots_from_stays_attached(alice: Caller) -> None:
    root = alice.volume()
    server = alice.boot(block_device_mapping_v2=[disk("volume", root, boot_index=0)])
    path = f"servers/{server['id']}/os-volume_attachments/{root}"
    assert alice.refused("DELETE", path) == (403, "Cannot detach a root device volume")


def test_a_volume_with_snapshots_outlives_its_server(alice: Caller) -> None:
    root = alice.volume()
    server = alice.boot(block_device_mapping_v2=[disk("volume", root, boot_index=0, delete_on_termination=True)])
    alice.snapshot(root)
    alice.ok("DELETE", f"servers/{server['id']}")
    assert alice.cinder(root)["status"] == "available"
