"""The plugin for projects: what it stores, and what it restores at the request of an administrator."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import PROJECT, Resource
from karbor_like.plugins.keystone import description
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, Operation, memory_bank
from karbor_like.testing.protection import Belongings, DescriptionContract, Subject, added

BOTH = {"roles": "existing-users", "quotas": "raise"}
#: Quotas of Alice that are low when a checkpoint is restored: service, name, limit before and after that.
LOWERED = (("volume", "volumes", 6, 3), ("compute", "cores", 8, 4), ("network", "network", 5, 2))
SERVICES = {"volume": "cinder", "compute": "nova"}


class Keystone:
    """The accounts of the sandbox, changed by its administrator."""

    def __init__(self, admin: Clients, alice: Clients) -> None:
        self._admin = admin
        self.project_id = alice.project_id

    def id_of(self, kind: str, name: str) -> str:
        (found,) = self._admin.keystone().get(f"/{kind}", params={"name": name}).json()[kind]
        return str(found["id"])

    def _url(self, user: str, role: str) -> str:
        user_id, role_id = self.id_of("users", user), self.id_of("roles", role)
        return f"/projects/{self.project_id}/users/{user_id}/roles/{role_id}"

    def give(self, user: str, role: str) -> None:
        self._admin.keystone().put(self._url(user, role))

    def take(self, user: str, role: str) -> None:
        self._admin.keystone().delete(self._url(user, role))

    def roles(self) -> set[str]:
        url = f"/role_assignments?scope.project.id={self.project_id}&include_names=true"
        found = self._admin.keystone().get(url).json()["role_assignments"]
        return {f"{each['user']['name']}:{each['role']['name']}" for each in found}

    def limit(self, service: str, name: str, limit: int) -> None:
        if service == "network":
            self._admin.neutron().update("quotas", self.project_id, {name: limit})
        else:
            getattr(self._admin, SERVICES[service])().quotas.update(self.project_id, **{name: limit})

    def limits(self) -> dict[str, int]:
        found = {"network": self._admin.neutron().show("quotas", self.project_id)}
        for service, client in SERVICES.items():
            found[service] = getattr(self._admin, client)().quotas.get(self.project_id).to_dict()
        return {name: found[service][name] for service, name, *_ in LOWERED}


class Project(Subject):
    """The project of Alice, with its roles and quotas."""

    def __init__(self, accounts: Keystone) -> None:
        self.accounts = accounts
        self.plugin = sandbox.make_plugin("project")
        self.resource = Resource(PROJECT, accounts.project_id, "alice")

    def digest(self, resource_id: str) -> str:
        return ""

    def looks(self, resource_id: str) -> dict[str, Any]:
        return {}

    def destroy(self) -> None:
        """Projects are not deleted."""

    def belongings(self) -> Belongings:
        units = {f"{name} {unit}" for name, limit in self.accounts.limits().items() for unit in range(limit)}
        return {"roles": self.accounts.roles(), "quotas": units}


@pytest.fixture
def alice(cloud: Sandbox, factory: ClientFactory) -> Clients:
    return factory.for_context(sandbox.context_of(cloud))


@pytest.fixture
def accounts(cloud: Sandbox, factory: ClientFactory, alice: Clients) -> Keystone:
    accounts = Keystone(factory.for_context(sandbox.context_of(cloud, "admin")), alice)
    accounts.give("admin", "admin")
    accounts.give("bob", "reader")
    for service, name, limit, _ in LOWERED:
        accounts.limit(service, name, limit)
    return accounts


@pytest.fixture
def subject(accounts: Keystone) -> Project:
    return Project(accounts)


@pytest.fixture
def owner(factory: ClientFactory, cloud: Sandbox, accounts: Keystone) -> Clients:
    """An administrator who has a role in the project."""
    return factory.for_context(sandbox.context_of(cloud, "admin", "alice"))


@pytest.fixture
def bank() -> Iterator[Bank]:
    bank = memory_bank()
    yield bank
    bank.close()


class TestContract(DescriptionContract):
    """A restore by an administrator, after a role was taken and quotas were lowered."""

    @pytest.fixture
    def clients(self, owner: Clients) -> Clients:
        return owner

    @pytest.fixture
    def checkpoint(self, host: Host, subject: Project) -> str:
        checkpoint: str = host.protect(subject.resource).checkpoint_id
        lower(subject.accounts)
        return checkpoint

    @pytest.fixture
    def before(self, subject: Project, checkpoint: str) -> Belongings:
        return subject.belongings()

    @staticmethod
    def first(host: Host, subject: Subject, kind: OperationType, checkpoint: str) -> Operation:
        if kind is OperationType.PROTECT:
            return host.operation(kind, subject.resource)
        return host.operation(kind, subject.resource, checkpoint, **BOTH)

    @classmethod
    def results(cls, operation: Operation, result: Any = None) -> set[str]:
        if operation.kind is OperationType.PROTECT:
            return set()
        return {"bob:reader"} | {f"{name} {unit}" for _, name, was, low in LOWERED for unit in range(low, was)}

    def test_delete_is_idempotent(self, host: Host, subject: Subject, checkpoint: str) -> None:
        """Checkpoints without a description exist: those that were made before there was this plugin."""
        for _ in range(2):
            host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        without = "the checkpoint has no description of the project"
        verified = host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))
        assert verified == {"remarks": [without]}
        operation = self.first(host, subject, OperationType.RESTORE, checkpoint)
        assert [(line.action, line.reason) for line in host.plan(operation)] == [(Action.REUSE, without)]
        before = subject.belongings()
        result = host.perform(operation)
        assert result["restored"] == {subject.resource.key: subject.resource.id}
        assert result["remarks"] == [f"{without}: it was made without the plugin for projects"]
        assert subject.belongings() == before

    def test_restore_after_a_crash_at_requests(
        self, host: Host, subject: Project, checkpoint: str, before: Belongings, line: sandbox.Line
    ) -> None:
        for nth in itertools.count(1, 2):
            operation = self.first(host, subject, OperationType.RESTORE, checkpoint)
            if not sandbox.crashes(host, line, operation, nth, answered=nth % 4 == 1):
                break
            if nth % 8 < 4:
                host.perform(operation)
                assert added(before, subject.belongings()) == self.results(operation), f"request {nth}"
            host.cleanup(operation)
            assert subject.belongings() == before, f"request {nth}"


def lower(accounts: Keystone) -> None:
    accounts.take("bob", "reader")
    for service, name, _, limit in LOWERED:
        accounts.limit(service, name, limit)


def lines(host: Host, operation: Operation) -> dict[str, tuple[Action, str]]:
    return {line.resource_key: (line.action, line.reason) for line in host.plan(operation)}


def test_what_is_stored_and_restored(
    alice: Clients, owner: Clients, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: Project
) -> None:
    tenant = Host(subject.plugin, alice, bank, service=factory.as_service())
    cloud.forget_calls()
    protected = tenant.protect(subject.resource)
    assert {call["method"] for call in cloud.calls()} <= {"GET", "POST"}
    assert not [call for call in cloud.calls(method="POST") if not call["path"].endswith("/auth/tokens")]
    document = tenant.section(protected.checkpoint_id, subject.resource).get("metadata")["project"]
    assert (document["id"], document["name"]) == (alice.project_id, "alice")
    assert {name: document["quotas"][service][name] for service, name, *_ in LOWERED} == subject.accounts.limits()
    assert document["roles"] == [
        {"kind": "user", "domain": "Default", "name": user, "role": role}
        for user, role in (("admin", "admin"), ("alice", "member"), ("bob", "reader"))
    ]
    lower(subject.accounts)
    subject.accounts.limit("volume", "gigabytes", -1)
    before = subject.belongings()

    # By default nothing changes, and a tenant cannot ask for more.
    own, bob = subject.resource.key, "OS::Keystone::UserRoleAssignment#reader:bob@Default"
    operation = tenant.operation(OperationType.RESTORE, subject.resource, protected.checkpoint_id)
    planned = lines(tenant, operation)
    assert planned[own] == (Action.REUSE, "projects are not created: the one of the request is used")
    assert planned[bob] == (Action.SKIP, "no roles are given, unless an administrator asks for roles=existing-users")
    assert planned[f"OS::Nova::Quota#{alice.project_id}"][0] is Action.SKIP
    assert tenant.perform(operation) == {"restored": {own: alice.project_id}, "remarks": []}
    for asked in (BOTH, {"roles": "existing-users"}, {"quotas": "raise"}):
        operation = tenant.operation(OperationType.RESTORE, subject.resource, protected.checkpoint_id, **asked)
        action, reason = lines(tenant, operation)[own]
        assert action is Action.CONFLICT
        assert f"may ask for {' and '.join(asked)}" in reason
        with pytest.raises(exception.Conflict, match="only administrators"):
            tenant.perform(operation)
    assert subject.belongings() == before

    administrator = Host(subject.plugin, owner, bank)
    operation = administrator.operation(OperationType.RESTORE, subject.resource, protected.checkpoint_id, **BOTH)
    planned = lines(administrator, operation)
    assert planned[bob] == (Action.CREATE, "")
    assert planned["OS::Keystone::UserRoleAssignment#member:alice@Default"] == (Action.SKIP, "the user has this role")
    assert planned["OS::Cinder::Quota#volumes"] == (Action.CREATE, "raised from 3 to 6")
    assert planned["OS::Cinder::Quota#gigabytes"] == (Action.SKIP, "it is -1, and was 10000")
    assert subject.belongings() == before
    administrator.perform(operation)
    assert "bob:reader" in subject.accounts.roles()
    assert subject.accounts.limits() == {name: limit for _, name, limit, _ in LOWERED}
    administrator.cleanup(operation)
    assert subject.belongings() == before


def test_what_cannot_be_read_or_given_is_a_remark(
    alice: Clients, owner: Clients, cloud: Sandbox, bank: Bank, subject: Project
) -> None:
    host = Host(subject.plugin, alice, bank)
    operation = host.operation(OperationType.PROTECT, subject.resource)
    hidden = "not in the checkpoint: its {}, which the cloud shows neither to you nor to the service user"
    cloud.fault(service="network", path="/quotas", kind="status", status=403, times=0)
    remarks = host.perform(operation)["remarks"]
    assert remarks == [hidden.format("quotas of networks"), hidden.format("role assignments")]
    cloud.clear_faults()

    checkpoint = Host(subject.plugin, owner, bank).protect(subject.resource).checkpoint_id
    with bank.leases.acquire(holder="test") as lease:
        section = host.section(checkpoint, subject.resource, lease)
        document = section.get("metadata")
        user = {"kind": "user", "domain": "Default", "name": "bob", "role": "reader"}
        forged = [
            {**user, "role": "wizard"},
            {**user, "name": "mallory"},
            {**user, "domain": "other"},
            {**user, "kind": "group"},
        ]
        section.put("metadata", {**document, "project": {**document["project"], "roles": forged}})
    host = Host(subject.plugin, owner, bank)
    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint, **BOTH)
    reasons = [reason for key, (_, reason) in lines(host, operation).items() if "RoleAssignment" in key]
    assert reasons == [
        "there is no role 'wizard'",
        "there is no user 'mallory' in a domain 'Default'",
        "there is no user 'bob' in a domain 'other'",
        "roles are given to users only, not to groups",
    ]
    before = subject.belongings()
    assert [remark.partition(": ")[2] for remark in host.perform(operation)["remarks"]] == reasons
    assert subject.belongings() == before


@pytest.mark.parametrize(
    "damage",
    [
        {"quotas": {"volume": {"volumes": -2}}},
        {"quotas": {"other": {}}},
        {"roles": [{"role": "member"}]},
        {"roles": "many"},
        {"more": 1},
    ],
    ids=str,
)
def test_documents_of_a_hostile_bank(alice: Clients, bank: Bank, subject: Project, damage: dict[str, Any]) -> None:
    host = Host(subject.plugin, alice, bank)
    checkpoint = host.protect(subject.resource).checkpoint_id
    with bank.leases.acquire(holder="test") as lease:
        section = host.section(checkpoint, subject.resource, lease)
        document = section.get("metadata")
        section.put("metadata", {**document, "project": {**document["project"], **damage}})
    operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
    assert [line.action for line in host.plan(operation)] == [Action.CONFLICT]
    with pytest.raises(exception.CheckpointDamaged, match="the stored description of the project is damaged"):
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint))


def test_role_assignments_of_keystone() -> None:
    domain = {"id": "d", "name": "Users"}
    user, group = {"id": "u", "name": "eve", "domain": domain}, {"id": "g", "name": "staff", "domain": domain}
    role, scope = {"id": "r", "name": "member"}, {"project": {"id": "p"}}
    inherited = {**scope, "OS-INHERIT:inherited_to": "projects"}
    assert description.roles(
        [
            {"user": user, "role": role, "scope": scope},
            {"group": group, "role": role, "scope": scope},
            {"user": user, "role": role, "scope": inherited},
            {"user": user, "role": {**role, "domain": domain}, "scope": scope},
            {"user": {"id": "gone"}, "role": role, "scope": scope},
        ]
    ) == [
        {"kind": "group", "domain": "Users", "name": "staff", "role": "member"},
        {"kind": "user", "domain": "Users", "name": "eve", "role": "member"},
    ]


def test_checkpoints_are_copied(alice: Clients, bank: Bank, subject: Project) -> None:
    host, other = Host(subject.plugin, alice, bank), memory_bank()
    elsewhere = Host(subject.plugin, alice, other)
    checkpoint = host.protect(subject.resource).checkpoint_id
    copied = elsewhere.copy(host, subject.resource, checkpoint)
    sections = [
        each.section(key, subject.resource) for each, key in ((host, checkpoint), (elsewhere, copied.checkpoint_id))
    ]
    assert sections[0].get("metadata") == sections[1].get("metadata")
    # One that was made without the plugin has nothing to copy.
    host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
    without = elsewhere.copy(host, subject.resource, checkpoint)
    assert elsewhere.perform(elsewhere.operation(OperationType.VERIFY, subject.resource, without.checkpoint_id)) == {
        "remarks": ["the checkpoint has no description of the project"]
    }
    other.close()
