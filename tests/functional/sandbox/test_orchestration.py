"""Heat in the sandbox, with the real client."""

from typing import Any

import pytest
from heatclient import client as heatclient
from heatclient import exc
from keystoneauth1 import session
from keystoneauth1.exceptions import EndpointNotFound
from keystoneauth1.identity import v3

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients, waiter

NET = {"type": "OS::Neutron::Net", "properties": {"name": "n"}}
SUBNET = {"network": {"get_resource": "net"}, "cidr": "10.1.0.0/24"}
SERVER = {"name": "s", "flavor": "m1.tiny", "networks": [{"port": {"get_resource": "port"}}], "user_data": "#!/bin/sh"}


def template(**resources: Any) -> dict[str, Any]:
    return {"heat_template_version": "2018-08-31", "resources": resources}


def client(auth: session.Session) -> Any:
    return heatclient.Client("1", session=auth)


def settled(heat: Any, key: str, status: str) -> Any:
    return waiter().until(
        f"stack {key} to be {status}",
        lambda: heat.stacks.get(key),
        done=lambda stack: stack.stack_status == status,
        failed=lambda stack: (
            stack.stack_status if "FAILED" in stack.stack_status and stack.stack_status != status else None
        ),
    )


@pytest.fixture
def heat(cloud: Sandbox) -> Any:
    return client(cloud.session("alice"))


def create(heat: Any, name: str = "a", **resources: Any) -> str:
    made = heat.stacks.create(stack_name=name, template=template(**resources), disable_rollback=True)
    return made["stack"]["id"]


def test_life_of_a_stack(heat: Any, cloud: Sandbox) -> None:
    key = create(heat, net=NET)
    stack = settled(heat, "a", "CREATE_COMPLETE")
    assert (stack.id, stack.identifier) == (key, f"a/{key}")
    (resource,) = heat.resources.list(key)
    assert (resource.resource_name, resource.resource_status) == ("net", "CREATE_COMPLETE")
    (network,) = cloud.session("alice").get(f"{cloud.url}/network/v2.0/networks?name=n").json()["networks"]
    assert resource.physical_resource_id == network["id"]
    with pytest.raises(exc.HTTPConflict, match="already exists"):
        create(heat)
    assert [each.id for each in heat.stacks.list()] == [key]
    assert list(client(cloud.session("bob")).stacks.list()) == []
    heat.stacks.delete("a")
    settled(heat, key, "DELETE_COMPLETE")
    with pytest.raises(exc.HTTPNotFound):
        heat.stacks.get("a")
    assert [each.resource_status for each in heat.events.list(key)][-1] == "DELETE_COMPLETE"


def test_a_server_on_a_network(heat: Any, alice: Clients) -> None:
    port = {"network": {"get_resource": "net"}}
    resources = {
        "server": {"type": "OS::Nova::Server", "properties": {**SERVER, "image": alice.image().id}},
        "port": {"type": "OS::Neutron::Port", "properties": port, "depends_on": "subnet"},
        "subnet": {"type": "OS::Neutron::Subnet", "properties": SUBNET},
        "net": NET,
    }
    key = create(heat, **resources)
    settled(heat, key, "CREATE_COMPLETE")
    ids = {each.resource_name: each.physical_resource_id for each in heat.resources.list(key)}
    assert alice.nova.servers.get(ids["server"]).status == "ACTIVE"
    assert [each.port_id for each in alice.nova.servers.interface_list(ids["server"])] == [ids["port"]]
    heat.stacks.delete("a")
    settled(heat, key, "DELETE_COMPLETE")
    assert alice.nova.servers.list() == []


def test_a_resource_that_fails_fails_the_stack(heat: Any) -> None:
    create(heat, net=NET, subnet={"type": "OS::Neutron::Subnet", "properties": {**SUBNET, "cidr": "nonsense"}})
    stack = settled(heat, "a", "CREATE_FAILED")
    assert "BadRequest: resources.subnet: " in stack.stack_status_reason
    failed = [each for each in heat.resources.list(stack.id) if each.resource_status == "CREATE_FAILED"]
    assert [each.resource_name for each in failed] == ["subnet"]


@pytest.mark.parametrize(
    "resource",
    [
        {"type": "OS::Neutron::Net", "properties": {"direct": {}}},
        {"type": "OS::Neutron::Nothing"},
        {"type": "OS::Neutron::Net", "properties": {"name": {"get_resource": "missing"}}},
        {"type": "OS::Neutron::Net", "properties": {"name": {"get_resource": "net"}}},
    ],
    ids=["property", "type", "reference", "circle"],
)
def test_wrong_templates_are_refused(heat: Any, resource: dict[str, Any]) -> None:
    with pytest.raises(exc.HTTPBadRequest):
        create(heat, net=resource)


def test_delegated_and_expired_tokens_create_no_stack(heat: Any, cloud: Sandbox) -> None:
    alice = cloud.session("alice")
    url = f"{cloud.auth_url}/users/{alice.get_user_id()}/application_credentials"
    made = alice.post(url, json={"application_credential": {"name": "c", "unrestricted": True}}).json()
    credential = made["application_credential"]
    auth = v3.ApplicationCredential(
        cloud.auth_url,
        application_credential_id=credential["id"],
        application_credential_secret=credential["secret"],
    )
    delegated = client(session.Session(auth))
    with pytest.raises(exc.HTTPInternalServerError):
        create(delegated)
    assert list(delegated.stacks.list()) == []


def test_a_cloud_may_lack_heat(cloud: Sandbox) -> None:
    cloud.settings(orchestration=False)
    with pytest.raises(EndpointNotFound):
        cloud.session("alice").get_endpoint(service_type="orchestration")
