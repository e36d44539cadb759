"""The description of servers."""

import copy
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.plugins.neutron import schema as network
from karbor_like.plugins.nova import description
from tests.unit.plugins.nova import answers as given

VOLUME = {"id": "v", "device": None, "tag": None, "delete_on_termination": False, "is_root": False}


def describe(**members: Any) -> description.Description:
    return description.describe(given.PROJECT, given.answers(**members))


def test_everything_of_a_server() -> None:
    described = describe()
    assert described.remarks == []
    assert description.checked(described.server) == {
        "id": given.SERVER,
        "name": "web",
        "description": "the shop",
        "hostname": "web-1",
        "status": "ACTIVE",
        "locked": False,
        "metadata": {"role": "front"},
        "tags": ["a", "b"],
        "config_drive": True,
        "disk_config": "MANUAL",
        "flavor": {
            **{name: value for name, value in given.FLAVOR.items() if name != "original_name"},
            "id": "2",
            "name": "m1.small",
            "extra_specs": {"hw:cpu": "1"},
        },
        "image": {"id": given.IMAGE, "name": "base"},
        "zone": {"pinned": "east", "actual": "east"},
        "volumes": [
            {
                "id": given.DATA,
                "device": "/dev/vdb",
                "tag": "data",
                "delete_on_termination": True,
                "is_root": False,
            }
        ],
        "interfaces": [{"port_id": given.PORT, "tag": "nic"}],
        "key_name": "laptop",
        "key_pair": given.KEY_PAIR,
        "group": {"id": "g", "name": "apart", "policy": "anti-affinity", "max_server_per_host": None},
    }
    ports = network.checked(described.ports)
    assert [port["mac_address"] for port in ports["ports"]] == ["fa:16:3e:00:00:01"]
    assert [group["rules"] for group in ports["security_groups"]] == [[]]
    assert [each["floating_ip_address"] for each in ports["floating_ips"]] == ["203.0.113.7"]


@pytest.mark.parametrize(
    ("devices", "told", "root"),
    [
        (["/dev/vdb", "/dev/vda"], None, 1),
        (["/dev/vdaa", "/dev/vdb"], None, 1),
        (["/dev/vda", "/dev/sda"], "/dev/vda", 0),
        (["/dev/vdb", "/dev/vda"], "/dev/xvda", 1),
        ([None, "/dev/vdc"], None, 1),
        ([None, None], None, 0),
    ],
)
def test_volume_that_a_server_boots_from(devices: list[str | None], told: str | None, root: int) -> None:
    volumes = [given.attachment(f"volume-{number}", device) for number, device in enumerate(devices)]
    found = describe(server=given.server(image=""), volumes=volumes, root_device=told).server["volumes"]
    assert [each["is_root"] for each in found] == [number == root for number in range(len(devices))]


def test_old_nova() -> None:
    """Version 2.1 shows no tags; the flavor is asked for separately."""
    old = given.server()
    for name in ("description", "tags", "OS-EXT-SRV-ATTR:hostname", "pinned_availability_zone"):
        del old[name]
    old["flavor"] = {"id": "2", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20, "swap": "", "extra_specs": {}}
    attachments = [{"volumeId": given.DATA, "device": "/dev/vdb"}]
    described = describe(server=old, volumes=attachments)
    (remark,) = described.remarks
    assert remark.startswith("Nova is too old to show description, tags, host name, requested availability zone of")
    assert described.server["volumes"][0]["delete_on_termination"] is True
    assert described.server["flavor"]["swap"] == 0


def test_key_pair_of_another_user() -> None:
    described = describe(key_pair=None)
    assert described.server["key_name"] == "laptop"
    assert described.server["key_pair"] is None
    assert described.remarks == [
        "the public key of key pair 'laptop' cannot be read: it belongs to another user, or was deleted"
    ]


def test_server_groups_that_nova_does_not_show() -> None:
    described = describe(group=None, hidden_groups="the server groups of the project: refused")
    assert described.server["group"] is None
    assert described.remarks == [
        "the server group of the server, if it has one, is not in the checkpoint: the server groups of the project: refused"
    ]


def test_port_of_another_project() -> None:
    networks = copy.deepcopy(given.NETWORKS)
    networks["ports"][0]["project_id"] = "another"
    (remark,) = describe(networks=networks).remarks
    assert remark.startswith(f"port {given.PORT} is not in the checkpoint, because it is not the project's")


@pytest.mark.parametrize(
    "members",
    [{"flavor": {}}, {"flavor": None}, {"metadata": None}, {"id": 7}, {"OS-DCF:diskConfig": "other"}],
    ids=str,
)
def test_answers_that_no_api_describes(members: dict[str, Any]) -> None:
    with pytest.raises(exception.Unavailable, match="Nova's answers cannot be understood"):
        describe(server=given.server(**members))


@pytest.mark.parametrize(
    "damage",
    [
        {"name": None},
        {"flavor": {"id": "2"}},
        {"volumes": [{**VOLUME, "id": "../../etc"}]},
        {"volumes": [{**VOLUME, "id": ".."}]},
        {"id": "a\n"},
        {"key_pair": {**given.KEY_PAIR, "name": ".."}},
        {"key_pair": {**given.KEY_PAIR, "name": "a/../b"}},
        {"surplus": 1},
        {"metadata": {str(number): "" for number in range(1001)}},
    ],
    ids=lambda damage: str(damage)[:40],
)
def test_documents_of_a_hostile_bank(damage: dict[str, Any]) -> None:
    with pytest.raises(exception.ResourceFailed, match="the stored description of the server is damaged") as caught:
        description.checked({**describe().server, **damage})
    assert len(str(caught.value)) < 500


def test_interfaces_are_in_the_order_of_the_guest() -> None:
    """Nova lists interfaces by the ids of their ports. The addresses show the order in which the server has them."""
    shown = {
        "outer": [{"addr": "10.7.0.9", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:02"}],
        "inner": [{"addr": "10.0.0.5", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}],
    }
    listed = [{"port_id": f"port-{n}", "mac_addr": f"fa:16:3e:00:00:0{n}"} for n in (0, 1, 2)]
    described = describe(server=given.server(addresses=shown), interfaces=listed)
    assert [each["port_id"] for each in described.server["interfaces"]] == ["port-2", "port-1", "port-0"]
