"""The description of networks, made of the answers of the sandbox, in a bank and as a template."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import NETWORK, Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.neutron import restore, schema, topology
from karbor_like.plugins.neutron.choices import Choices
from karbor_like.plugins.neutron.deployables.floating import FloatingIP
from karbor_like.plugins.neutron.deployables.groups import SecurityGroupRule
from karbor_like.plugins.neutron.deployables.objects import Port, Subnet
from karbor_like.plugins.neutron.network import NetworkProtection
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, Operation, memory_bank
from karbor_like.testing.protection import Belongings, DescriptionContract, Subject, added


def prepare(alice: Clients, admin: Clients) -> dict[str, str]:
    """Create a workload: everything that a project can own. Return the ids."""
    create, made = alice.neutron().create, {}
    made["public"] = admin.neutron().create("networks", {"name": "public", "router:external": True})["id"]
    outside = {"network_id": made["public"], "ip_version": 4, "cidr": "203.0.113.0/24"}
    admin.neutron().create("subnets", outside)
    made["pool"] = create("subnetpools", {"name": "pool", "prefixes": ["10.8.0.0/16"], "default_prefixlen": 24})["id"]
    for name in ("inner", "pooled"):
        made[name] = create("networks", {"name": name})["id"]
    subnet = {"network_id": made["inner"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    made["subnet"] = create("subnets", subnet)["id"]
    create("subnets", {"network_id": made["pooled"], "ip_version": 4, "subnetpool_id": made["pool"]})
    router = {"name": "edge", "external_gateway_info": {"network_id": made["public"]}}
    made["router"] = create("routers", router)["id"]
    alice.neutron().call("routers", made["router"], "add_router_interface", {"subnet_id": made["subnet"]})
    routes = [{"destination": "172.16.0.0/16", "nexthop": "10.0.0.99"}]
    alice.neutron().update("routers", made["router"], {"routes": routes})
    for name in ("one", "two", "closed", "restricted"):
        made[name] = create("security-groups", {"name": name, "description": f"group {name}"})["id"]
    for name in ("closed", "restricted"):
        for rule in alice.neutron().list("security-group-rules", security_group_id=made[name]):
            alice.neutron().delete("security-group-rules", rule["id"])
    dns = {"direction": "egress", "protocol": "udp", "port_range_min": 53, "port_range_max": 53}
    create("security-group-rules", {**dns, "security_group_id": made["restricted"]})
    alice.neutron().call("security-groups", made["closed"], "tags", {"tags": ["strict"]})
    for here, there in (("one", "two"), ("two", "one")):
        rule = {"security_group_id": made[here], "remote_group_id": made[there], "direction": "ingress"}
        create("security-group-rules", rule)
    for name in ("web", "parent", "child"):
        port = {"network_id": made["inner"], "name": name, "security_groups": [made["one"]]}
        made[name] = create("ports", port)["id"]
    sub = {"port_id": made["child"], "segmentation_type": "vlan", "segmentation_id": 101}
    made["trunk"] = create("trunks", {"name": "trunk", "port_id": made["parent"], "sub_ports": [sub]})["id"]
    fip = {"floating_network_id": made["public"]}
    made["associated"] = create("floatingips", {**fip, "port_id": made["web"]})["id"]
    made["forwarding"] = create("floatingips", fip)["id"]
    forwarded = {"internal_port_id": made["web"], "internal_port": 22, "external_port": 2222, "protocol": "tcp"}
    create(f"floatingips/{made['forwarding']}/port_forwardings", forwarded)
    alice.neutron().call("networks", made["inner"], "tags", {"tags": ["b", "a"]})
    return made


def named(document: dict[str, Any], member: str) -> list[str]:
    return sorted(each["name"] for each in document[member])


def test_a_whole_project(cloud: Sandbox, factory: ClientFactory) -> None:
    alice, admin = (factory.for_context(sandbox.context_of(cloud, user)) for user in ("alice", "admin"))
    made = prepare(alice, admin)
    bob = factory.for_context(sandbox.context_of(cloud, "bob"))
    bob.neutron().create("networks", {"name": "bob's"})
    bank: Bank = memory_bank()
    host = Host(NetworkProtection(cfg.ConfigOpts()), alice, bank)
    resource = Resource(NETWORK, alice.project_id, "Network Topology")

    cloud.forget_calls()
    protected = host.protect(resource)
    assert {call["method"] for call in cloud.calls(service="network")} == {"GET"}

    document = host.section(protected.checkpoint_id, resource).get(restore.DOCUMENT)
    assert named(document, "networks") == ["inner", "pooled"]
    assert named(document, "security_groups") == ["closed", "default", "one", "restricted", "two"]
    assert named(document, "ports") == ["child", "parent", "web"]
    assert [len(document[member]) for member in ("subnets", "subnet_pools", "routers", "trunks")] == [2, 1, 1, 1]
    assert next(each for each in document["networks"] if each["name"] == "inner")["tags"] == ["a", "b"]
    assert sorted(len(each["port_forwardings"]) for each in document["floating_ips"]) == [0, 1]
    assert document["routers"][0]["interfaces"][0]["fixed_ips"] == [
        {"subnet_id": made["subnet"], "ip_address": "10.0.0.1"}
    ]
    assert document["foreign"] == [{"type": schema.NET, "id": made["public"], "name": "public"}]

    template = Template()
    topology.contribute(schema.checked(document), template, Choices())
    kinds = [each["type"].rpartition("::")[2] for each in template.resources.values()]
    assert {kind: kinds.count(kind) for kind in sorted(kinds)} == {
        "ExtraRouteSet": 1,
        "FloatingIP": 2,
        "FloatingIPPortForward": 1,
        "Net": 2,
        "Port": 3,
        "Router": 1,
        "RouterInterface": 1,
        "SecurityGroup": 4,
        "SecurityGroupRule": 2,
        "Subnet": 2,
        "SubnetPool": 1,
        "Trunk": 1,
    }

    host.perform(host.operation(OperationType.VERIFY, resource, protected.checkpoint_id))
    cloud.fault(service="network", path="/trunks|/subnetpools|/qos|forwardings", kind="status", status=404, times=0)
    smaller = host.section(host.protect(resource).checkpoint_id, resource).get(restore.DOCUMENT)
    assert (smaller["trunks"], smaller["subnet_pools"]) == ([], [])
    cloud.clear_faults()
    cloud.fault(service="network", path="/networks", kind="status", status=404, times=0)
    with pytest.raises(exception.NotFound):
        host.protect(resource)
    host.perform(host.operation(OperationType.DELETE, resource, protected.checkpoint_id))
    bank.close()


COLLECTIONS = ("networks", "subnets", "subnetpools", "routers", "ports", "security-groups", "floatingips", "trunks")


def owned(clients: Clients) -> dict[str, dict[str, Any]]:
    """Return what a project owns, by collection and id."""
    return {
        collection: {each["id"]: each for each in clients.neutron().list(collection, project_id=clients.project_id)}
        for collection in (*COLLECTIONS, "security-group-rules")
    }


def counts(found: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {collection: len(each) for collection, each in found.items()}


def ids_of(found: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    return {collection: set(each) for collection, each in found.items()}


def wipe(clients: Clients) -> None:
    """Delete everything that a project owns except its default group."""
    neutron = clients.neutron()
    for floating in neutron.list("floatingips", project_id=clients.project_id):
        neutron.delete("floatingips", floating["id"])
    for trunk in neutron.list("trunks"):
        neutron.delete("trunks", trunk["id"])
    for router in neutron.list("routers"):
        neutron.update("routers", router["id"], {"routes": []})
        for port in neutron.list("ports", device_id=router["id"], device_owner="network:router_interface"):
            neutron.call("routers", router["id"], "remove_router_interface", {"port_id": port["id"]})
        neutron.delete("routers", router["id"])
    for collection in ("ports", "networks", "subnetpools"):
        for each in neutron.list(collection, project_id=clients.project_id):
            neutron.delete(collection, each["id"])
    for group in neutron.list("security-groups", project_id=clients.project_id):
        if group["name"] != "default":
            neutron.delete("security-groups", group["id"])


class Project:
    """Alice's project with a checkpoint of its networks."""

    def __init__(self, cloud: Sandbox, factory: ClientFactory, bank: Bank) -> None:
        self.cloud = cloud
        self.alice, self.admin = (factory.for_context(sandbox.context_of(cloud, user)) for user in ("alice", "admin"))
        self.made = prepare(self.alice, self.admin)
        self.host = Host(NetworkProtection(cfg.ConfigOpts()), self.alice, bank, service=self.admin)
        self.resource = Resource(NETWORK, self.alice.project_id, "Network Topology")
        self.checkpoint = self.host.protect(self.resource).checkpoint_id

    def restore(self, **parameters: Any) -> Operation:
        return self.host.operation(OperationType.RESTORE, self.resource, self.checkpoint, **parameters)

    def shape(self) -> dict[str, Any]:
        """Return what the project owns, without ids."""
        bank = memory_bank()
        host = Host(self.host.plugin, self.alice, bank)
        section = host.section(host.protect(self.resource).checkpoint_id, self.resource)
        shape = nameless(section.get(restore.DOCUMENT))
        bank.close()
        return shape


def nameless(document: dict[str, Any]) -> dict[str, Any]:
    """Replace ids by names, or by addresses."""
    names = {document["project_id"]: "project"}
    for member in (*schema.MEMBERS, "foreign"):
        for each in document[member]:
            names[each["id"]] = each.get("name") or each.get("cidr") or each.get("floating_ip_address") or "subnet"
    for each in (*document["security_groups"], *document["routers"], *document["floating_ips"]):
        for number, part in enumerate(
            each.get("rules") or each.get("interfaces") or each.get("port_forwardings") or ()
        ):
            names[part.get("port_id") or part["id"]] = f"part {number}"
    text = json.dumps(document)
    for resource_id, name in names.items():
        text = text.replace(resource_id, name)

    def ordered(value: Any) -> Any:
        if isinstance(value, list):
            return sorted((ordered(each) for each in value), key=str)
        if isinstance(value, dict):
            return {key: ordered(each) for key, each in value.items() if key not in ("id", "port_id") or each in names}
        return value

    return ordered(json.loads(text))


@pytest.fixture
def bank() -> Iterator[Bank]:
    made = memory_bank()
    yield made
    made.close()


@pytest.fixture
def project(cloud: Sandbox, factory: ClientFactory, bank: Bank) -> Project:
    return Project(cloud, factory, bank)


def test_restored_project_equals_the_original(project: Project) -> None:
    before, shape = owned(project.alice), project.shape()
    wipe(project.alice)
    operation = project.restore()
    assert {line.action for line in project.host.plan(operation)} == {Action.CREATE, Action.REUSE}
    result = project.host.perform(operation)
    assert result == {"restored": {project.resource.key: project.alice.project_id}, "remarks": []}
    assert project.shape() == shape
    after = owned(project.alice)
    assert counts(after) == counts(before)
    assert "karbor-like-" not in json.dumps(after), "a mark remains"

    operation.done.clear()
    project.host.perform(operation)
    assert ids_of(owned(project.alice)) == ids_of(after), "the hooks run again, and create nothing twice"
    project.host.cleanup(operation)
    assert counts(owned(project.alice)) == {**dict.fromkeys(before, 0), "security-groups": 1, "security-group-rules": 4}


def test_nothing_is_created_while_everything_exists(project: Project) -> None:
    operation = project.restore(mode="reuse")
    assert {line.action for line in project.host.plan(operation)} == {Action.REUSE}
    assert project.host.contribute(operation).resources == {}
    project.alice.neutron().delete("floatingips", project.made["associated"])
    with pytest.raises(exception.Conflict, match=f"FloatingIP#{project.made['associated']}: it no longer exists"):
        project.host.perform(operation)


def test_a_copy_changes_no_original(project: Project) -> None:
    before = owned(project.alice)
    operation = project.restore(mode="copy")
    result = project.host.perform(operation)
    assert len(result["remarks"]) == 2, "each floating IP has another address"
    after = owned(project.alice)
    for collection, objects in before.items():
        assert {key: after[collection][key] for key in objects} == objects
    assert counts(after)["networks"] == 2 * counts(before)["networks"]
    assert counts(after)["security-groups"] == 2 * counts(before)["security-groups"] - 1, "the default group"
    project.host.cleanup(operation)
    assert owned(project.alice) == before


def test_what_is_missing_is_connected_to_what_exists(project: Project) -> None:
    """A tenant deletes a port, a group and a network with its subnet."""
    neutron, shape = project.alice.neutron(), project.shape()
    neutron.delete("trunks", project.made["trunk"])
    for port in ("web", "parent", "child"):
        neutron.delete("ports", project.made[port])
    neutron.delete("security-groups", project.made["two"])
    neutron.delete("networks", project.made["pooled"])
    before = owned(project.alice)
    project.host.perform(project.restore())
    assert project.shape() == shape
    after = owned(project.alice)
    for collection in ("networks", "routers", "floatingips", "security-groups"):
        assert set(before[collection]) <= set(after[collection])


def test_restore_in_another_project(cloud: Sandbox, factory: ClientFactory, project: Project, bank: Bank) -> None:
    """Its default group gets the rules in addition, and loses no rule of its own if the restore fails."""
    bob = factory.for_context(sandbox.context_of(cloud, "bob"))

    def allow(clients: Clients, protocol: str) -> None:
        (default,) = clients.neutron().list("security-groups", name="default", project_id=clients.project_id)
        rule = {"security_group_id": default["id"], "direction": "ingress", "protocol": protocol}
        clients.neutron().create("security-group-rules", rule)

    for clients, protocol in ((project.alice, "tcp"), (project.alice, "udp"), (bob, "udp")):
        allow(clients, protocol)
    checkpoint, before = project.host.protect(project.resource).checkpoint_id, ids_of(owned(bob))
    elsewhere = Host(project.host.plugin, bob, bank, service=project.admin, project_id=project.alice.project_id)
    operation = elsewhere.operation(OperationType.RESTORE, project.resource, checkpoint)
    result = elsewhere.perform(operation)
    assert result["restored"] == {project.resource.key: bob.project_id}
    assert len(result["remarks"]) == 0
    expected, found = counts(owned(project.alice)), counts(owned(bob))
    assert found == expected
    elsewhere.cleanup(operation)
    assert ids_of(owned(bob)) == before


def test_attributes_that_a_cloud_may_refuse(project: Project, bank: Bank) -> None:
    """A checkpoint without them is one that earlier releases read."""

    def restored(clients: Clients) -> tuple[str, list[str]]:
        host = Host(project.host.plugin, clients, bank, service=project.admin, project_id=project.alice.project_id)
        host.perform(host.operation(OperationType.RESTORE, project.resource, checkpoint))
        (port,) = clients.neutron().list("ports", name="web", project_id=clients.project_id)
        (subnet,) = clients.neutron().list("subnets", cidr="10.0.0.0/24", project_id=clients.project_id)
        return port["dns_domain"], subnet["service_types"]

    project.alice.neutron().update("ports", project.made["web"], {"dns_domain": "example.org."})
    project.admin.neutron().update("subnets", project.made["subnet"], {"service_types": ["compute:nova"]})
    checkpoint = project.host.protect(project.resource).checkpoint_id
    versions = {project.checkpoint: 1, checkpoint: 2}
    for each, version in versions.items():
        assert project.host.section(each, project.resource).get(restore.DOCUMENT)["version"] == version
    assert restored(project.admin) == ("example.org.", ["compute:nova"])
    wipe(project.alice)
    assert restored(project.alice) == ("example.org.", [])
    (subnet, *_others) = project.alice.neutron().list("subnets", project_id=project.alice.project_id)
    wanted = {"direct": {"service_types": ["compute:nova"]}}
    (remark,) = Subnet(project.alice, None, lambda: wanted).complete(subnet["id"])
    assert remark.startswith("service_types could not be restored: ")


def test_ports_in_use_are_not_reused(project: Project) -> None:
    neutron = project.alice.neutron()
    neutron.update("ports", project.made["web"], {"device_id": "a-server", "device_owner": "compute:nova"})
    before = owned(project.alice)
    result = project.host.perform(project.restore())
    (new,) = [port for key, port in owned(project.alice)["ports"].items() if key not in before["ports"]]
    original = before["ports"][project.made["web"]]
    assert (new["name"], new["network_id"], new["device_id"]) == ("web", original["network_id"], "")
    assert new["fixed_ips"] != original["fixed_ips"]
    assert any("the original is in use by a-server" in remark for remark in result["remarks"])


@pytest.mark.parametrize("nth", [1, 2])
def test_lost_answers_are_harmless(project: Project, nth: int) -> None:
    """Answers to every second or third request that changes something are lost."""
    before, shape = owned(project.alice), project.shape()
    wipe(project.alice)
    for method, every in (("POST", 2), ("PUT", 3)):
        how = {"kind": "cut", "where": "response", "nth": nth, "every": every, "times": 0}
        project.cloud.fault(service="network", method=method, **how)
    project.host.perform(project.restore())
    project.cloud.clear_faults()
    assert counts(owned(project.alice)) == counts(before)
    assert project.shape() == shape


@pytest.mark.parametrize("nth", [9, 18])
def test_a_refusal_leaves_nothing(project: Project, nth: int) -> None:
    wipe(project.alice)
    before = owned(project.alice)
    project.cloud.fault(service="network", method="POST", nth=nth, kind="status", status=403)
    operation = project.restore(floating_ips="new")
    try:
        project.host.perform(operation)
    except exception.NotAuthorized:
        assert owned(project.alice) == before
    else:
        pytest.fail("the request was not made")


def test_addresses_of_floating_ips(project: Project) -> None:
    address = "203.0.113.77"
    wanted = {"floating_network": project.made["public"], "direct": {"floating_ip_address": address, "tags": ["t"]}}

    def restored(service: Clients | None) -> tuple[str, list[str]]:
        floating = FloatingIP(project.alice, service, lambda: wanted)
        cloud_id = floating.create("name", {})
        assert floating.find("name") == [cloud_id]
        remarks = floating.complete(cloud_id)
        assert floating.find("name") == []
        current = project.alice.neutron().show("floatingips", cloud_id)
        assert (current["project_id"], current["tags"]) == (project.alice.project_id, ["t"])
        return current["floating_ip_address"], remarks

    other, remarks = restored(None)
    assert other != address
    (remark,) = remarks
    assert remark.endswith(f": its address was {address}, and it has {other} now")
    assert restored(project.admin) == (address, [])
    other, remarks = restored(project.admin)
    assert other != address, "it is taken now"
    assert remarks
    wanted["floating_network"] = project.made["inner"]
    with pytest.raises(exception.ResourceFailed, match="not a valid external network"):
        restored(project.admin)


def test_rules_that_existed_are_not_deleted(project: Project) -> None:
    """A restore in another project adds rules to its default group."""
    neutron = project.alice.neutron()
    wanted = {"security_group": project.made["one"], "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}

    def restored() -> None:
        rule = SecurityGroupRule(project.alice, None, lambda: wanted)
        (cloud_id,) = rule.find("name") or [rule.create("name", {})]
        assert rule.get(cloud_id).id == cloud_id
        deleted = SecurityGroupRule(project.alice, None, lambda: wanted)
        deleted.delete(deleted.get(cloud_id))
        with pytest.raises(exception.ResourceNotFound):
            deleted.get(cloud_id)

    def present() -> int:
        return len(neutron.list("security-group-rules", security_group_id=project.made["one"], protocol="icmp"))

    restored()
    assert present() == 0
    values = {name: value for name, value in wanted.items() if name != "security_group"}
    neutron.create("security-group-rules", {**values, "security_group_id": project.made["one"]})
    restored()
    assert present() == 1


def test_an_address_of_dhcp_is_released(project: Project) -> None:
    """Neutron's DHCP service may take the address of a restored port before that is created."""
    address = project.alice.neutron().show("ports", project.made["web"])["fixed_ips"][0]["ip_address"]
    wipe(project.alice)
    neutron = project.alice.neutron()
    mark = "karbor-like-00000000-0000-4000-8000-000000000000-net"
    network_id = neutron.create("networks", {"name": "n", "description": mark})["id"]
    subnet = {"network_id": network_id, "ip_version": 4, "cidr": "10.0.0.0/24"}
    subnet_id = neutron.create("subnets", subnet)["id"]
    fixed = [{"subnet_id": subnet_id, "ip_address": address}]
    dhcp = neutron.create("ports", {"network_id": network_id, "fixed_ips": fixed, "device_owner": "network:dhcp"})
    wanted = {"network": network_id, "fixed_ips": [{"subnet": subnet_id, "ip_address": address}]}
    port = Port(project.alice, None, lambda: wanted)
    with pytest.raises(exception.Unavailable, match="DHCP"):
        port.create("name", {})
    with pytest.raises(exception.ResourceNotFound), translated("the port of DHCP"):
        neutron.show("ports", dhcp["id"])
    made = port.create("name", {})
    assert neutron.show("ports", made)["fixed_ips"] == fixed
    neutron.delete("ports", made)
    neutron.update("networks", network_id, {"description": "in use"})
    neutron.create("ports", {"network_id": network_id, "fixed_ips": fixed, "device_owner": "network:dhcp"})
    with pytest.raises(exception.Conflict):
        port.create("name", {})


class SmallProject(Subject):
    """A network with a subnet, and a group."""

    def __init__(self, clients: Clients) -> None:
        self.plugin = NetworkProtection(cfg.ConfigOpts())
        self.clients = clients
        self.resource = Resource(NETWORK, clients.project_id, "Network Topology")
        created = clients.neutron().create("networks", {"name": "small"})
        clients.neutron().create("subnets", {"network_id": created["id"], "ip_version": 4, "cidr": "10.0.0.0/24"})
        clients.neutron().create("security-groups", {"name": "group"})

    def digest(self, resource_id: str) -> str:
        return ""

    def looks(self, resource_id: str) -> dict[str, Any]:
        return {}

    def destroy(self) -> None:
        wipe(self.clients)

    def belongings(self) -> Belongings:
        found = ids_of(owned(self.clients))
        return {collection: found[collection] for collection in ("networks", "subnets", "security-groups")}


class TestContract(DescriptionContract):
    """Everything exists already, and so a restore makes a copy of it."""

    @pytest.fixture
    def clients(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(sandbox.context_of(cloud))

    @pytest.fixture
    def subject(self, clients: Clients) -> SmallProject:
        return SmallProject(clients)

    @staticmethod
    def first(host: Host, subject: Subject, kind: OperationType, checkpoint: str) -> Operation:
        if kind is OperationType.PROTECT:
            return host.operation(kind, subject.resource)
        return host.operation(kind, subject.resource, checkpoint, mode="copy")

    @classmethod
    def results(cls, operation: Operation, result: Any = None) -> set[str]:
        entries = [entry for journal in operation.deployed.values() for entry in journal.entries()]
        return {str(entry.cloud_id) for entry in entries}

    def test_foreign_projects_are_not_protected(
        self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: SmallProject
    ) -> None:
        for user in ("bob", "admin"):
            host = Host(subject.plugin, factory.for_context(sandbox.context_of(cloud, user)), bank)
            with pytest.raises(exception.ResourceNotFound):
                host.protect(subject.resource)

    def test_restore_after_a_crash_at_requests_that_create(
        self, host: Host, subject: SmallProject, checkpoint: str, line: sandbox.Line
    ) -> None:
        for nth in itertools.count(30, 4):
            before = subject.belongings()
            operation = self.first(host, subject, OperationType.RESTORE, checkpoint)
            if not sandbox.crashes(host, line, operation, nth, answered=True):
                break
            if nth % 8 == 6:
                result = host.perform(operation)
                assert added(before, subject.belongings()) == self.results(operation, result), f"request {nth}"
            else:
                host.cleanup(operation)
                assert subject.belongings() == before, f"request {nth}"
