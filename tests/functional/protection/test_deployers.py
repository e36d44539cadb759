"""The choice of the deployer, with the identities that a restore may have in a cloud."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import session
from keystoneauth1.identity import v3

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.plugins.heat import hot
from karbor_like.plugins.heat.deployment import StackDeployment
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES
from karbor_like.plugins.toolkit.deployment import Deployment
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.operation import deployers
from karbor_like.protection.registry.providers import Deployer
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing.sandbox import context_of, make_conf
from tests.functional.protection import plugins
from tests.functional.protection.attempts import follow, run
from tests.functional.protection.site import LEASE, Site

NET = {"net": {"type": "OS::Neutron::Net", "properties": {"name": "n"}}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "cloud") as sandbox:
        yield sandbox


@pytest.fixture
def factory(cloud: Sandbox) -> ClientFactory:
    return ClientFactory(make_conf(cloud))


def choose(clients: Clients, resolved: hot.Resolved = NET, deployer: Deployer = Deployer.AUTO, **more: Any) -> Any:
    return decide(clients, resolved, deployer, **more).means


def decide(
    clients: Clients, resolved: hot.Resolved = NET, deployer: Deployer = Deployer.AUTO, **more: Any
) -> deployers.Choice:
    return deployers.choose(
        deployer, clients, SystemClock(), resolved, DEPLOYABLES, **{"timeout": 1800.0, "has_password": False, **more}
    )


def trusted(cloud: Sandbox, factory: ClientFactory) -> Clients:
    """Alice, by a trust of the service user."""
    alice = cloud.session("alice")
    trust = {
        "trustor_user_id": alice.get_user_id(),
        "trustee_user_id": factory.service_user_id(),
        "project_id": alice.get_project_id(),
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    made = alice.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": trust}).json()["trust"]
    context = context_of(cloud)
    values = {"user_id": context.user_id, "project_id": context.project_id, "trust_id": made["id"]}
    return factory.for_context(RequestContext(**values))


def credentialed(cloud: Sandbox, factory: ClientFactory) -> Clients:
    """Alice, by an application credential without restrictions."""
    alice = cloud.session("alice")
    url = f"{cloud.auth_url}/users/{alice.get_user_id()}/application_credentials"
    made = alice.post(url, json={"application_credential": {"name": "c", "unrestricted": True}}).json()
    values = {f"application_credential_{name}": made["application_credential"][name] for name in ("id", "secret")}
    context = context_of(cloud)
    context.auth_token = session.Session(v3.ApplicationCredential(cloud.auth_url, **values)).get_token()
    return factory.for_context(context)


def expiring(cloud: Sandbox, factory: ClientFactory) -> Clients:
    cloud.settings(token_lifetime=60.0)
    return factory.for_context(context_of(cloud))


def shorter_than_a_stack(cloud: Sandbox, factory: ClientFactory) -> Clients:
    """With a token that ends before Heat could delete a stack that was not created in time."""
    cloud.settings(token_lifetime=1800.0 + deployers.MARGIN - 1)
    return factory.for_context(context_of(cloud))


def expired(cloud: Sandbox, factory: ClientFactory) -> Clients:
    context = context_of(cloud)
    cloud.expire_token(str(context.auth_token))
    return factory.for_context(context)


def without_heat(cloud: Sandbox, factory: ClientFactory) -> Clients:
    cloud.settings(orchestration=False)
    return factory.for_context(context_of(cloud))


OBSTACLES = pytest.mark.parametrize(
    ("identity", "text"),
    [
        (trusted, "has expired, or is of a trust"),
        (credentialed, "trust or of an application credential"),
        (expiring, "expires in"),
        (shorter_than_a_stack, "Heat may need 2100 s"),
        (expired, "has expired"),
        (without_heat, "no orchestration service"),
    ],
)


@OBSTACLES
def test_what_heat_refuses_is_deployed_directly(
    cloud: Sandbox, factory: ClientFactory, identity: Any, text: str
) -> None:
    clients = identity(cloud, factory)
    chosen = decide(clients)
    assert chosen.means is Deployment
    assert text in chosen.reason
    assert bool(chosen.remark) is (identity is not without_heat)
    with pytest.raises(exception.ResourceFailed, match=text):
        choose(clients, deployer=Deployer.HEAT)


def test_heat_is_used_where_it_restores_everything(cloud: Sandbox, factory: ClientFactory) -> None:
    clients = factory.for_context(context_of(cloud))
    assert choose(clients) is choose(clients, deployer=Deployer.HEAT) is StackDeployment
    assert choose(clients, deployer=Deployer.DIRECT) is choose(clients, {}) is Deployment
    lost = {"net": {"type": "OS::Neutron::Net", "properties": {"direct": {"mtu": 1}}}}
    assert choose(clients, lost) is Deployment
    assert choose(clients, lost, Deployer.HEAT) is StackDeployment
    many = {f"n{number}": NET["net"] for number in range(1001)}
    assert choose(clients, many) is Deployment
    with pytest.raises(exception.Conflict, match="creates 1001 resources; a stack of Heat has at most 1000"):
        choose(clients, many, Deployer.HEAT)


def test_a_process_that_continues_says_why_heat_was_not_used() -> None:
    lost = {"net": {"type": "OS::Neutron::Net", "properties": {"direct": {"mtu": 1}}}}
    assert (
        "net has properties that Heat does not know: mtu" in deployers.resumed(Deployer.AUTO, lost, DEPLOYABLES).remark
    )
    assert "could not be used when" in deployers.resumed(Deployer.AUTO, NET, DEPLOYABLES).remark
    assert deployers.resumed(Deployer.DIRECT, lost, DEPLOYABLES).remark == ""


def test_a_password_has_no_end(cloud: Sandbox, factory: ClientFactory) -> None:
    cloud.settings(token_lifetime=60.0)
    clients = factory.for_target(cloud.auth_url, {"username": "alice", "password": "secret"})
    assert choose(clients, has_password=True) is StackDeployment


def demand_heat(tmp_path: Path, plugin: str) -> None:
    provider = tmp_path / "providers.d" / "test.conf"
    text = provider.read_text().replace("NodeProtection", plugin)
    provider.write_text(text.replace("[provider]\n", "[provider]\ndeployer = heat\n"))


@pytest.mark.parametrize("fault", ["exit", "fail"])
def test_a_restore_by_heat_is_continued_and_undone(
    tmp_path: Path, files: Path, cloud: Sandbox, factory: ClientFactory, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    demand_heat(tmp_path, "NetworkProtection")
    cloud.settings(job_delay=0.0)
    clock = ManualClock(datetime.now(UTC))
    site, context = Site(tmp_path, files), context_of(cloud)
    # The sandbox does not wait for the clock of the leases.
    site.env = dataclasses.replace(site.env, clock=clock, clients=factory)
    site.endpoint = Endpoint(site.env, site.executor, lambda context: None)
    follow(site.env.database.engine, clock)
    monkeypatch.setattr(site, "context", lambda *args, **values: context)

    def die() -> None:
        clock.advance(LEASE + 1)
        raise exception.LeaseLost("the process stood still for longer than its lease")

    monkeypatch.setattr(plugins, "die", die)
    site.cloud.plant({"a": []})
    checkpoint_id = site.protect(plan_id=site.plan("a", project_id=str(context.project_id)))["id"]
    assert run(site)
    site.cloud.fault(**{"complete:a": fault})
    restore_id = site.restore(checkpoint_id)
    assert run(site) is (fault == "fail")
    stacks = [*factory.for_context(context).heat().stacks.list()]
    networks = factory.for_context(context).neutron().list("networks", name="a")
    if fault == "fail":
        assert (site.restored(restore_id).status, stacks, networks) == ("fail", [], [])
        return
    assert run(site)
    assert site.restored(restore_id).status == "success"
    assert [*factory.for_context(context).heat().stacks.list()] == stacks
    assert [f"network:{network['id']}" for network in networks] == [
        call for call in site.cloud.calls() if call.startswith("network:")
    ][-1:]


@pytest.mark.parametrize("plugin", ["NodeProtection", "DeployedProtection"])
def test_a_restore_that_needs_heat_is_refused_at_the_request(tmp_path: Path, files: Path, plugin: str) -> None:
    demand_heat(tmp_path, plugin)
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    checkpoint_id = site.protect("a")["id"]
    assert run(site)
    if plugin == "NodeProtection":
        site.restore(checkpoint_id)
        return
    with pytest.raises(exception.InvalidInput, match=r"restore\.provider_id: .*no orchestration service"):
        site.restore(checkpoint_id)


def test_a_template_that_is_too_large_for_heat_is_a_conflict_of_the_plan(
    tmp_path: Path, files: Path, cloud: Sandbox, factory: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand_heat(tmp_path, "NetworkProtection")
    site, context = Site(tmp_path, files), context_of(cloud)
    site.env = dataclasses.replace(site.env, clients=factory)
    site.endpoint = Endpoint(site.env, site.executor, lambda context: None)
    monkeypatch.setattr(site, "context", lambda *args, **values: context)
    monkeypatch.setattr(hot, "MAX_RESOURCES", 0)
    site.cloud.plant({"a": []})
    checkpoint_id = site.protect(plan_id=site.plan("a", project_id=str(context.project_id)))["id"]
    assert run(site)
    dry, real = site.restore(checkpoint_id, dry_run=True), site.restore(checkpoint_id)
    assert run(site)
    assert run(site)
    plan = site.restored(dry).plan
    assert plan is not None
    assert (plan["deployer"], plan["actions"][-1]["action"]) == (None, "conflict")
    assert "a stack of Heat has at most 0" in plan["actions"][-1]["reason"]
    row = site.restored(real)
    assert (row.status, "nothing was restored: " in row.reason) == ("fail", True)
    assert not [call for call in site.cloud.calls() if call.startswith("restore:prepare")]
