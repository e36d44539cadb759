"""Stacks in a cloud whose answers are lost, whose engine forgets, and with a process that dies at any request."""

import io
import itertools
from typing import Any, cast

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import SystemClock
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.heat import hot
from karbor_like.plugins.heat.deployment import STACK, StackDeployment
from karbor_like.plugins.heat.stack import Stack
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES
from karbor_like.plugins.protection import HookContext
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing.host import MemoryJournal
from karbor_like.testing.sandbox import Crash, Line, context_of

NET, SUBNET, PORT = "OS::Neutron::Net", "OS::Neutron::Subnet", "OS::Neutron::Port"
GROUP, RULE, ROUTER = "OS::Neutron::SecurityGroup", "OS::Neutron::SecurityGroupRule", "OS::Neutron::Router"
INTERFACE, SERVER = "OS::Neutron::RouterInterface", "OS::Nova::Server"
#: What a provider's plugins deploy. Heat does not use the class of servers.
TYPES: Any = {**DEPLOYABLES, SERVER: Deployable}
KINDS = ("networks", "subnets", "ports", "routers", "security-groups")


def topology() -> Template:
    template, ref = Template(), Template.reference
    front = {"name": "front", "tags": ["a"], "value_specs": {"description": "of the web"}}
    template.add("net", NET, front, restores=f"{NET}#old")
    subnet = {"network": ref(f"{NET}#old"), "cidr": "10.9.0.0/24", "ip_version": 4, "gateway_ip": "10.9.0.1"}
    template.add("subnet", SUBNET, subnet, restores=f"{SUBNET}#old")
    template.add(
        "group",
        GROUP,
        {"name": "web", "description": "web servers", "rules": [{"direction": "egress", "protocol": "tcp"}]},
        restores="G#old",
    )
    template.add("rule", RULE, {"security_group": ref("G#old"), "direction": "ingress", "remote_group": ref("G#old")})
    fixed = [{"subnet": ref(f"{SUBNET}#old"), "ip_address": "10.9.0.7"}]
    port = {"network": ref(f"{NET}#old"), "fixed_ips": fixed, "security_groups": [ref("G#old")]}
    template.add("port", PORT, port, restores=f"{PORT}#old")
    template.add("router", ROUTER, {"name": "r"}, restores=f"{ROUTER}#old")
    template.add("interface", INTERFACE, {"router": ref(f"{ROUTER}#old"), "subnet": ref(f"{SUBNET}#old")})
    return template


class Restore:
    """One restore by Heat, over all its attempts."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.template = topology()
        self.journal = MemoryJournal("11111111-1111-4111-8111-111111111111", STACK)

    @property
    def deployment(self) -> StackDeployment:
        context = HookContext(
            operation_id="o",
            checkpoint_id="c",
            project_id=self.clients.project_id,
            resource=Resource("OS::Neutron::Network", "p"),
            children=(),
            parameters={},
            clients=self.clients,
            section=cast(Any, None),
            bases=(),
            journal=cast(Any, None),
            report=cast(Any, None),
            waiter=Waiter(SystemClock(), interval=0.02, max_interval=0.05, timeout=120, retries=4),
            restored={},
            check=lambda: None,
        )
        return StackDeployment(lambda: self.template, TYPES, context, lambda description: self.journal)

    def remove(self) -> None:
        self.deployment.remove([STACK])
        assert self.journal.entries() == []

    def stacks(self) -> list[Any]:
        return [*self.clients.heat().stacks.list()]


@pytest.fixture
def clients(cloud: Sandbox, factory: ClientFactory) -> Clients:
    return factory.for_context(context_of(cloud))


@pytest.fixture
def restore(clients: Clients) -> Restore:
    belongings(clients)
    return Restore(clients)


def belongings(clients: Clients) -> set[str]:
    neutron = clients.neutron()
    return {each["id"] for kind in KINDS for each in neutron.list(kind, project_id=clients.project_id)}


def test_a_stack_has_everything(restore: Restore, clients: Clients) -> None:
    restore.deployment.deploy()
    ids = restore.deployment.ids
    assert sorted(ids) == sorted(restore.template.originals)
    neutron = clients.neutron()
    assert neutron.show("networks", ids[f"{NET}#old"])["tags"] == ["a"]
    port = neutron.show("ports", ids[f"{PORT}#old"])
    assert port["fixed_ips"] == [{"subnet_id": ids[f"{SUBNET}#old"], "ip_address": "10.9.0.7"}]
    rules = neutron.show("security-groups", ids["G#old"])["security_group_rules"]
    assert sorted((rule["direction"], rule["protocol"]) for rule in rules) == [("egress", "tcp"), ("ingress", None)]
    assert restore.deployment.complete([*restore.template.resources, "of another contributor"]) == []
    described = {name: description(clients, key) for name, key in ids.items()}
    assert described == {
        f"{NET}#old": "of the web",
        f"{SUBNET}#old": "",
        f"{PORT}#old": "",
        f"{ROUTER}#old": "",
        "G#old": "web servers",
    }


def description(clients: Clients, key: str) -> str:
    listed = {each["id"]: each for kind in KINDS for each in clients.neutron().list(kind)}
    return str(listed[key]["description"])


def test_removal_leaves_nothing(restore: Restore, clients: Clients) -> None:
    before = belongings(clients)
    restore.deployment.deploy()
    restore.remove()
    assert belongings(clients) == before
    assert restore.stacks() == []
    restore.remove()


def test_nothing_to_deploy_makes_no_stack(restore: Restore) -> None:
    restore.template = Template()
    restore.deployment.deploy()
    assert restore.deployment.ids == {}
    assert restore.stacks() == []
    assert restore.journal.entries() == []


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_the_next_process_continues(restore: Restore, clients: Clients, line: Line, answered: bool) -> None:
    """Requests of this process only: the sandbox's engine does not use the network."""
    for nth in itertools.count(1):
        before = belongings(clients)
        with line.crash(nth, answered=answered):
            try:
                restore.deployment.deploy()
                crashed = False
            except Crash:
                crashed = True
        if nth > 3:
            break
        assert crashed
        restore.deployment.deploy()
        assert len(restore.stacks()) == 1, f"after a crash at request {nth}"
        restore.remove()
        assert belongings(clients) == before


def test_lost_answer_makes_no_second_stack(restore: Restore, cloud: Sandbox) -> None:
    cloud.fault(service="orchestration", method="POST", kind="cut", where="response")
    restore.deployment.deploy()
    assert len(restore.stacks()) == 1


def test_failure_names_the_resource_and_leaves_nothing(restore: Restore, clients: Clients, cloud: Sandbox) -> None:
    before = belongings(clients)
    cloud.fault(service="network", method="POST", path="/ports$", kind="status", status=409, body="no address is left")
    with pytest.raises(exception.ResourceFailed, match=r"port \(OS::Neutron::Port\): .*no address is left"):
        restore.deployment.deploy()
    restore.remove()
    assert belongings(clients) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_engine_forgot_is_deleted(restore: Restore, clients: Clients, cloud: Sandbox, kind: str) -> None:
    """The engine did not learn the id of one object. Others that look like it stay."""
    clients.neutron().create("networks", {"name": "front", "description": "of the web"})
    before = belongings(clients)
    cloud.fault(service="network", method="POST", path=f"/{kind}$", kind="cut", where="response")
    with pytest.raises(exception.ResourceFailed):
        restore.deployment.deploy()
    restore.remove()
    assert belongings(clients) == before
    assert restore.stacks() == []


def test_a_forgotten_interface_is_deleted(restore: Restore, clients: Clients, cloud: Sandbox) -> None:
    before = belongings(clients)
    cloud.fault(service="network", method="PUT", path="/add_router_interface$", kind="cut", where="response")
    with pytest.raises(exception.ResourceFailed):
        restore.deployment.deploy()
    restore.remove()
    assert belongings(clients) == before


def test_a_forgotten_server_is_deleted(restore: Restore, clients: Clients, cloud: Sandbox) -> None:
    """Heat deletes the port of a server that it does not know, and so the last trace of it."""
    before = belongings(clients)
    image = clients.glance().images.create(name="i", disk_format="raw", container_format="bare")
    clients.glance().images.upload(image.id, io.BytesIO(b"bytes"))
    networks = [{"port": Template.reference(f"{PORT}#old")}]
    restore.template.add("server", SERVER, {"name": "web", "flavor": "1", "image": image.id, "networks": networks})
    cloud.fault(service="compute", method="POST", path="/servers$", kind="cut", where="response")
    with pytest.raises(exception.ResourceFailed):
        restore.deployment.deploy()
    servers = clients.nova().servers
    restore.deployment.context.waiter.until("the server", servers.list, done=lambda found: found[0].status == "ACTIVE")
    restore.remove()
    assert servers.list() == []
    assert belongings(clients) == before


def test_a_removal_ends_a_creation_that_never_ends(restore: Restore, clients: Clients, cloud: Sandbox) -> None:
    before = belongings(clients)
    fault = cloud.fault(service="orchestration", method="POST", kind="hold")
    stack = Stack(clients, None, lambda: {"template": hot.document({}, {}), "timeout_mins": 1})
    key = stack.create(restore.journal.intend("resource", keep=True).name, {})
    assert stack.failure(stack.get(key)) is None
    restore.remove()
    cloud.clear_faults(fault)
    with pytest.raises(exception.ResourceNotFound):
        stack.get(key)
    assert belongings(clients) == before


def test_references_to_what_is_not_deployed_are_refused(restore: Restore) -> None:
    restore.template.add("thing", "Test::Thing", {}, restores="T#old")
    restore.template.add("other", NET, {"name": Template.reference("T#old")})
    with pytest.raises(exception.Unsupported, match="other needs thing"):
        restore.deployment.deploy()
    assert restore.stacks() == []
