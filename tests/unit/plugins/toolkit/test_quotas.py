"""Quotas as the services show them, and what the resources of a template need."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from karbor_like.domain.quota import Quota
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES as NETWORK
from karbor_like.plugins.nova.deployables import DEPLOYABLES as COMPUTE
from karbor_like.plugins.toolkit import quotas

NEW = {"get_resource": "other"}
FLAVOR = SimpleNamespace(vcpus=2, ram=4096)


class Cloud:
    """Clients of a cloud that shows quotas, and one flavor."""

    project_id = "p"

    def __init__(self, shown: Any) -> None:
        self.shown = shown

    def nova(self) -> Any:
        flavors = SimpleNamespace(get=lambda key: FLAVOR)
        pairs = SimpleNamespace(list=lambda: ["laptop"])
        return SimpleNamespace(flavors=flavors, keypairs=pairs, quotas=self)

    def neutron(self) -> Any:
        return SimpleNamespace(show=lambda collection, key: self.shown)

    def manila(self) -> Any:
        def update(collection: str, key: str, values: Any) -> None:
            self.shown = (collection, key, values)

        return SimpleNamespace(show=lambda collection, key: self.shown, update=update)

    def get(self, project_id: str, detail: bool) -> Any:
        return SimpleNamespace(to_dict=lambda: self.shown)


def test_what_is_no_quota_is_left_out() -> None:
    shown = {
        "network": {"limit": 10, "used": 4, "reserved": 2},
        "port": {"limit": -5, "used": 7, "reserved": 0},
        "router": {"limit": "10", "used": 1, "reserved": 0},
        "subnet": {"limit": 10, "used": None, "reserved": 0},
        "trunk": 5,
        "id": "p",
        "x" * 256: {"limit": 1, "used": 0, "reserved": 0},
    }
    found = quotas.network(cast(Any, Cloud(shown)))
    assert found == {"network": Quota(10, 6), "port": Quota(-1, 7)}
    assert [found[name].free for name in found] == [4, None]
    many = {f"q{number}": {"limit": 1, "used": 0, "reserved": 0} for number in range(2000)}
    assert len(quotas.network(cast(Any, Cloud(many)))) == 1000


def test_key_pairs_are_counted_and_networks_of_nova_are_not_read() -> None:
    each = {"limit": 5, "in_use": 0, "reserved": 0}
    found = quotas.compute(cast(Any, Cloud({"instances": each, "key_pairs": each, "floating_ips": each})))
    assert found == {"instances": Quota(5, 0), "key_pairs": Quota(5, 1)}


def test_quotas_of_shares_have_names_of_their_own() -> None:
    each = {"limit": 5, "in_use": 1, "reserved": 1}
    cloud = Cloud(dict.fromkeys(["shares", "gigabytes", "snapshot_gigabytes"], each))
    found = quotas.share(cast(Any, cloud))
    assert found == dict.fromkeys(["shares", "share_gigabytes", "snapshot_gigabytes"], Quota(5, 2))
    for name, theirs in {"share_gigabytes": "gigabytes", "shares": "shares"}.items():
        quotas.SERVICES["share"].change(cast(Any, cloud), "p", name, 7)
        assert cloud.shown == ("quota-sets", "p", {theirs: 7})


@pytest.mark.parametrize(("limit", "used", "free"), [(5, 2, 3), (5, 9, 0), (0, 0, 0), (-1, 3, None)])
def test_free(limit: int, used: int, free: int | None) -> None:
    assert Quota(limit, used).free == free


@pytest.mark.parametrize(
    ("limit", "other", "is_below"),
    [(5, 6, True), (5, 5, False), (5, 4, False), (5, -1, True), (-1, 9, False), (-1, -1, False)],
)
def test_lower_quotas(limit: int, other: int, is_below: bool) -> None:
    assert Quota(limit).is_below(other) is is_below


@pytest.mark.parametrize(
    ("kind", "properties", "needs"),
    [
        ("OS::Neutron::Net", {}, {"network": 1}),
        ("OS::Neutron::Port", {}, {"port": 1}),
        ("OS::Neutron::RouterInterface", {"router": NEW, "subnet": NEW}, {"port": 1}),
        ("OS::Neutron::RouterInterface", {"router": NEW, "port": NEW}, {}),
        ("OS::Neutron::SecurityGroupRule", {"security_group": NEW}, {"security_group_rule": 1}),
        ("OS::Neutron::SecurityGroupRule", {"security_group": "id"}, {}),
        ("OS::Neutron::FloatingIP", {}, {"floatingip": 1}),
        ("OS::Neutron::FloatingIPAssociation", {}, {}),
        ("OS::Neutron::ExtraRouteSet", {}, {}),
        ("OS::Nova::KeyPair", {}, {"key_pairs": 1}),
        ("OS::Nova::ServerGroup", {}, {"server_groups": 1}),
        (
            "OS::Nova::Server",
            {"flavor": "2", "networks": [{"port": NEW}, {"network": "n"}]},
            {"instances": 1, "cores": 2, "ram": 4096, "port": 1},
        ),
        ("OS::Nova::Server", {"flavor": "2"}, {"instances": 1, "cores": 2, "ram": 4096, "port": 0}),
    ],
)
def test_needs(kind: str, properties: dict[str, Any], needs: dict[str, int]) -> None:
    deployable: type[Deployable] = {**NETWORK, **COMPUTE}[kind]
    assert deployable(cast(Any, Cloud({})), None, lambda: properties).needs() == needs
