"""What Nova is asked for when a restore creates servers."""

from types import SimpleNamespace
from typing import Any

import pytest
from novaclient import api_versions

from karbor_like.plugins.nova import deployables

GIVEN = {
    "name": "web",
    "flavor": "2",
    "metadata": {"role": "front"},
    "tags": ["a"],
    "networks": [{"port": "p", "tag": "nic"}, {"network": "n"}],
    "block_device_mapping_v2": [
        {"volume_id": "r", "boot_index": 0, "delete_on_termination": False, "device_name": "/dev/vda"},
        {"volume_id": "d", "boot_index": -1, "delete_on_termination": True},
    ],
    "direct": {"hostname": "web-1", "description": "the shop", "device_tags": [None, "data"], "user_data": "AP8="},
}


def arguments(version: str, **changes: Any) -> dict[str, Any]:
    nova = SimpleNamespace(api_version=api_versions.APIVersion(version))
    return deployables.arguments(nova, {**GIVEN, **changes}, {"karbor_like_operation": "o"})


def test_newest_nova() -> None:
    assert arguments("2.96") == {
        "name": "web",
        "image": None,
        "flavor": "2",
        "meta": {"role": "front", "karbor_like_operation": "o"},
        "tags": ["a"],
        "hostname": "web-1",
        "description": "the shop",
        "userdata": b"\x00\xff",
        "nics": [{"port-id": "p", "tag": "nic"}, {"net-id": "n"}],
        "block_device_mapping_v2": [
            {
                "uuid": "r",
                "source_type": "volume",
                "destination_type": "volume",
                "boot_index": 0,
                "delete_on_termination": False,
                "device_name": "/dev/vda",
            },
            {
                "uuid": "d",
                "source_type": "volume",
                "destination_type": "volume",
                "boot_index": -1,
                "delete_on_termination": True,
                "tag": "data",
            },
        ],
    }


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        ("2.89", {"hostname"}),
        ("2.51", {"hostname", "tags"}),
        ("2.18", {"hostname", "tags", "description"}),
        ("2.1", {"hostname", "tags", "description"}),
    ],
)
def test_older_nova_is_not_asked_for_what_it_does_not_know(version: str, lacking: set[str]) -> None:
    assert set(arguments("2.96")) - set(arguments(version)) == lacking
    nova = SimpleNamespace(api_version=api_versions.APIVersion(version))
    assert set(deployables.too_old_for(nova, GIVEN)) - {"device tags"} == lacking


@pytest.mark.parametrize(("version", "known"), [("2.42", True), ("2.41", False), ("2.1", False)])
def test_tags_of_devices(version: str, known: bool) -> None:
    given = arguments(version)
    devices = [*given["nics"], *given["block_device_mapping_v2"]]
    assert any("tag" in device for device in devices) is known
    nova = SimpleNamespace(api_version=api_versions.APIVersion(version))
    assert ("device tags" in deployables.too_old_for(nova, GIVEN)) is not known


@pytest.mark.parametrize(("version", "nics"), [("2.37", "none"), ("2.36", None)])
def test_server_without_interfaces(version: str, nics: str | None) -> None:
    assert arguments(version, networks=[{"allocate_network": "none"}]).get("nics") == nics


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ssh-rsa AAAA me", "ssh-rsa AAAA", True),
        ("ssh-rsa AAAA", "ssh-rsa BBBB", False),
        ("ssh-rsa AAAA", "ssh-ed25519 AAAA", False),
        ("-----BEGIN CERTIFICATE----- x", "-----BEGIN CERTIFICATE----- y", False),
    ],
)
def test_same_key(one: str, other: str, same: bool) -> None:
    assert deployables.same_key(one, other) is same
