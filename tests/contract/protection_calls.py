"""The contract of the protection service: what ``karbor_like/rpc/protection.py`` promises to its callers.

A subclass of :class:`ProtectionContract` has a fixture ``service``. Each test has tenants of its own in the same service.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db import plans, quotas
from karbor_like.db.models import Base, Checkpoint, Operation, Restore, Verification
from karbor_like.db.session import Database
from karbor_like.rpc.protection import ProtectionClient
from tests.fixtures.endpoint import WithoutBus

UNKNOWN = "00000000-0000-4000-8000-00000000dead"
ROWS: tuple[type[Base], ...] = (Checkpoint, Operation, Restore, Verification)


class DirectClient(WithoutBus, ProtectionClient):
    """The client of the protection service without a message bus."""


@dataclass
class Service:
    """A protection service with two providers, of which the first names the second for copies.

    :param resource_type: a type with resources, for which the providers have options
    :param resource_ids: ids of its resources, sorted
    :param option: an integer option of plans for *resource_type*
    :param end_operations: ends all operations; *succeed*: whether they succeed
    """

    client: ProtectionClient
    database: Database
    provider_id: str
    other_provider_id: str
    resource_type: str
    resource_ids: Sequence[str]
    option: str
    end_operations: Callable[..., None]


class Tenant:
    """A member of a new project."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.client = service.client
        self.project_id = uuid.uuid4().hex
        self.context = RequestContext(user_id="alice", project_id=self.project_id, roles=["member"], auth_token="t")

    def plan(self, **values: Any) -> str:
        """Insert a plan for a resource, and return its id."""
        resource = {"type": self._service.resource_type, "id": self._service.resource_ids[0], "name": "n"}
        row = {
            "id": str(uuid.uuid4()),
            "project_id": self.project_id,
            "name": "a plan",
            "provider_id": self._service.provider_id,
            "resources": [resource],
            "parameters": {},
            **values,
        }
        return self._service.database.write(lambda session: plans.PLANS.insert(session, **row)).id

    def protect(self, plan_id: str | None = None, context: RequestContext | None = None, **arguments: Any) -> str:
        """Start to protect a plan, by default a new one, and return the id of the checkpoint."""
        call = {
            "checkpoint_id": str(uuid.uuid4()),
            "provider_id": self._service.provider_id,
            "extra_info": {},
            "plan_id": plan_id or self.plan(),
            **arguments,
        }
        self.client.protect(context or self.context, **call)
        return str(call["checkpoint_id"])

    def checkpoint(self, plan_id: str | None = None, *, succeed: bool = True) -> str:
        """Protect a plan to the end, and return the id of the checkpoint."""
        checkpoint_id = self.protect(plan_id)
        self._service.end_operations(succeed=succeed)
        return checkpoint_id

    def delete(self, checkpoint_id: str, provider_id: str | None = None) -> None:
        provider_id = provider_id or self._service.provider_id
        self.client.delete_checkpoint(self.context, provider_id=provider_id, checkpoint_id=checkpoint_id)

    def reset(self, checkpoint_id: str, state: str, provider_id: str | None = None) -> None:
        provider_id = provider_id or self._service.provider_id
        self.client.reset_checkpoint(self.context, provider_id=provider_id, checkpoint_id=checkpoint_id, state=state)

    def start(self, noun: str, checkpoint_id: str, **arguments: Any) -> str:
        """Start a restore or a verification, and return its id."""
        row_id = str(uuid.uuid4())
        call = {
            f"{noun}_id": row_id,
            "provider_id": self._service.provider_id,
            "checkpoint_id": checkpoint_id,
            "parameters": {},
            **arguments,
        }
        method = self.client.restore if noun == "restore" else self.client.verify
        method(self.context, **call)
        return str(call[f"{noun}_id"])

    def copy(self, plan_id: str, **arguments: Any) -> dict[str, Any]:
        call = {"copy_id": str(uuid.uuid4()), "provider_id": self._service.provider_id, **arguments}
        return self.client.copy(self.context, plan_id=plan_id, **call)

    def rows(self, model: type[Base]) -> Sequence[Any]:
        """Return the project's rows, oldest first."""
        with self._service.database.reader() as session:
            query = sa.select(model).filter_by(project_id=self.project_id)
            return session.execute(query.order_by(sa.text("created_at"))).scalars().all()

    def counts(self) -> tuple[int, ...]:
        """Return the numbers of the project's checkpoints, operations, restores and verifications."""
        return tuple(len(self.rows(model)) for model in ROWS)

    def statuses(self) -> list[str]:
        """Return the statuses of the project's checkpoints, oldest first."""
        return [row.status for row in self.rows(Checkpoint)]

    @contextlib.contextmanager
    def refused(self, error: type[exception.KarborLikeError]) -> Iterator[None]:
        """Expect an error of exactly this class, and that no row of the project is added or removed."""
        before = self.counts()
        with pytest.raises(error) as refusal:
            yield
        assert refusal.type is error
        assert self.counts() == before


#: Arguments of ``restore`` by the minor version since which callers send them. Services accept calls without them, because
#: callers of an earlier minor version run while hosts are upgraded in turn.
RESTORE: Mapping[str, int] = {
    "restore_id": 0,
    "provider_id": 0,
    "checkpoint_id": 0,
    "parameters": 0,
    "restore_target": 0,
    "restore_auth": 0,
    "resources": 1,
    "with_children": 1,
    "dry_run": 1,
    "with_plan": 2,
}

both = pytest.mark.parametrize("noun", ["restore", "verification"])


class ProtectionContract:
    @pytest.fixture
    def alice(self, service: Service) -> Tenant:
        return Tenant(service)

    @pytest.fixture
    def bob(self, service: Service) -> Tenant:
        return Tenant(service)

    def test_a_plan_s_parameters_are_checked_and_normalized(self, service: Service, alice: Tenant) -> None:
        def check(parameters: dict[str, Any], provider_id: str = service.provider_id, **types: bool) -> Any:
            return alice.client.check_plan(
                alice.context, provider_id=provider_id, resource_types={kind, *types}, parameters=parameters
            )

        kind, option = service.resource_type, service.option
        assert check({kind: {option: "5"}}) == {kind: {option: 5}}
        assert check({kind: {option: None}}) == {kind: {}}
        with alice.refused(exception.InvalidInput):
            check({kind: {option: "many"}})
        with alice.refused(exception.UnknownResourceType):
            check({"OS::Nothing": {}})
        with alice.refused(exception.ProviderNotFound):
            check({}, UNKNOWN)
        with alice.refused(exception.Unsupported):
            check({}, Other=True)

    def test_protect_creates_a_checkpoint_and_an_operation(self, service: Service, alice: Tenant) -> None:
        plan_id = alice.plan()
        created = [alice.protect(plan_id), alice.protect(plan_id, extra_info={"why": "upgrade"})]
        rows, operations = alice.rows(Checkpoint), alice.rows(Operation)
        assert [row.id for row in rows] == created
        assert [row.extra_info for row in rows] == [{"created_by": "manual"}, {"why": "upgrade"}]
        resource = {"type": service.resource_type, "id": service.resource_ids[0], "name": "n", "extra_info": None}
        planned = {
            "id": plan_id,
            "name": "a plan",
            "description": None,
            "provider_id": service.provider_id,
            "resources": [resource],
            "parameters": {},
        }
        for row, operation in zip(rows, operations, strict=True):
            assert (row.status, row.plan, row.plan_id) == ("protecting", planned, plan_id)
            assert (operation.operation_type, operation.status, operation.queue_state) == (
                "protect",
                "protecting",
                "queued",
            )
            assert (operation.checkpoint_id, operation.plan_id, operation.user_id) == (row.id, plan_id, "alice")
            assert operation.provider_id == row.provider_id == service.provider_id
        service.end_operations()
        assert alice.statuses() == ["available", "available"]

    def test_a_repeated_protect_changes_nothing(self, alice: Tenant, bob: Tenant) -> None:
        checkpoint_id = alice.protect()
        alice.protect(checkpoint_id=checkpoint_id)
        alice.protect(UNKNOWN, checkpoint_id=checkpoint_id, provider_id=UNKNOWN)
        assert alice.counts() == (1, 1, 0, 0)
        with bob.refused(exception.Conflict):
            bob.protect(checkpoint_id=checkpoint_id)

    def test_refused_protects(self, service: Service, alice: Tenant, bob: Tenant) -> None:
        with alice.refused(exception.PlanNotFound):
            alice.protect(UNKNOWN)
        with alice.refused(exception.PlanNotFound):
            alice.protect(bob.plan())
        with alice.refused(exception.PlanWrongProvider):
            alice.protect(alice.plan(provider_id=service.other_provider_id))
        with alice.refused(exception.ProviderNotFound):
            alice.protect(alice.plan(provider_id=UNKNOWN), provider_id=UNKNOWN)
        with alice.refused(exception.PlanEmpty):
            alice.protect(alice.plan(resources=[]))
        with alice.refused(exception.UnknownResourceType):
            alice.protect(alice.plan(resources=[{"type": "OS::Nothing", "id": "x", "name": "x"}]))
        admin = RequestContext(user_id="root", project_id=bob.project_id, is_admin=True)
        with alice.refused(exception.NotAuthorized):
            alice.protect(context=admin)

    def test_the_quota_limits_checkpoints_and_copies(self, service: Service, alice: Tenant) -> None:
        service.database.write(lambda session: quotas.set_limits(session, alice.project_id, {"checkpoints": 1}))
        plan_id = alice.plan()
        alice.checkpoint(plan_id)
        with alice.refused(exception.OverQuota):
            alice.protect(plan_id)
        with alice.refused(exception.OverQuota):
            alice.copy(plan_id)

    @both
    def test_the_quota_limits_requests_in_progress(self, service: Service, alice: Tenant, noun: str) -> None:
        service.database.write(lambda session: quotas.set_limits(session, alice.project_id, {f"{noun}s": 1}))
        checkpoint_id = alice.checkpoint()
        first = alice.start(noun, checkpoint_id)
        with alice.refused(exception.OverQuota):
            alice.start(noun, checkpoint_id)
        # A repeat starts nothing.
        alice.start(noun, checkpoint_id, **{f"{noun}_id": first})
        service.end_operations(succeed=True)
        alice.start(noun, checkpoint_id)

    def test_delete_starts_a_deletion(self, service: Service, alice: Tenant) -> None:
        checkpoint_id = alice.checkpoint()
        alice.delete(checkpoint_id)
        deletion = alice.rows(Operation)[-1]
        assert alice.statuses() == ["deleting"]
        assert (deletion.operation_type, deletion.status, deletion.checkpoint_id) == (
            "delete",
            "deleting",
            checkpoint_id,
        )
        with alice.refused(exception.CheckpointInUse):
            alice.delete(checkpoint_id)
        service.end_operations()
        assert alice.statuses() == ["deleted"]
        assert alice.rows(Checkpoint)[0].deleted_at is not None
        with alice.refused(exception.WrongState):
            alice.delete(checkpoint_id)

    def test_deleting_a_checkpoint_that_is_being_created_cancels_its_creation(
        self, service: Service, alice: Tenant
    ) -> None:
        alice.delete(alice.protect())
        assert (alice.statuses(), alice.counts()) == (["protecting"], (1, 1, 0, 0))
        assert alice.rows(Operation)[0].cancel_requested
        service.end_operations()
        assert alice.statuses() == ["error"]

    @both
    def test_a_checkpoint_in_use_is_neither_deleted_nor_reset(self, alice: Tenant, noun: str) -> None:
        checkpoint_id = alice.checkpoint()
        alice.start(noun, checkpoint_id)
        with alice.refused(exception.CheckpointInUse):
            alice.delete(checkpoint_id)
        with alice.refused(exception.CheckpointInUse):
            alice.reset(checkpoint_id, "error")
        assert alice.statuses() == ["available"]

    def test_the_source_of_a_copy_is_in_use(self, alice: Tenant) -> None:
        plan_id = alice.plan()
        checkpoint_id = alice.checkpoint(plan_id)
        alice.copy(plan_id)
        with alice.refused(exception.CheckpointInUse):
            alice.delete(checkpoint_id)

    def test_reset(self, alice: Tenant) -> None:
        checkpoint_id = alice.checkpoint()
        alice.reset(checkpoint_id, "error")
        (row,) = alice.rows(Checkpoint)
        assert (row.status, row.reason) == ("error", "reset by request")
        alice.reset(checkpoint_id, "available")
        (row,) = alice.rows(Checkpoint)
        assert (row.status, row.reason, len(alice.rows(Operation))) == ("available", None, 1)

    def test_refused_resets(self, service: Service, alice: Tenant) -> None:
        checkpoint_id = alice.protect()
        with alice.refused(exception.WrongState):
            alice.reset(checkpoint_id, "error")
        service.end_operations(succeed=False)
        # It was never complete.
        with alice.refused(exception.Conflict):
            alice.reset(checkpoint_id, "available")
        assert alice.statuses() == ["error"]

    def test_checkpoints_are_found_by_project_and_provider_only(
        self, service: Service, alice: Tenant, bob: Tenant
    ) -> None:
        checkpoint_id = alice.checkpoint()
        calls: list[Callable[[Tenant, str], Any]] = [
            lambda tenant, provider_id: tenant.delete(checkpoint_id, provider_id),
            lambda tenant, provider_id: tenant.reset(checkpoint_id, "error", provider_id),
            lambda tenant, provider_id: tenant.start("restore", checkpoint_id, provider_id=provider_id),
            lambda tenant, provider_id: tenant.start("verification", checkpoint_id, provider_id=provider_id),
        ]
        for call in calls:
            with bob.refused(exception.CheckpointNotFound):
                call(bob, service.provider_id)
            with alice.refused(exception.CheckpointNotFound):
                call(alice, service.other_provider_id)
            with alice.refused(exception.ProviderNotFound):
                call(alice, UNKNOWN)
        admin = RequestContext(user_id="root", project_id=bob.project_id, is_admin=True)
        service.client.delete_checkpoint(admin, provider_id=service.provider_id, checkpoint_id=checkpoint_id)
        assert alice.statuses() == ["deleting"]

    @both
    def test_a_restore_or_verification_has_a_row_and_an_operation(
        self, service: Service, alice: Tenant, noun: str
    ) -> None:
        model = Restore if noun == "restore" else Verification
        checkpoint_id = alice.checkpoint()
        row_id = alice.start(noun, checkpoint_id, parameters={service.resource_type: {}})
        (row,), operation = alice.rows(model), alice.rows(Operation)[-1]
        assert (row.id, row.status, row.checkpoint_id) == (row_id, "in_progress", checkpoint_id)
        assert (row.provider_id, row.parameters) == (service.provider_id, {service.resource_type: {}})
        assert (operation.operation_type, operation.status) == (noun.replace("ication", "y"), "in_progress")
        assert (operation.checkpoint_id, operation.plan_id, operation.user_id) == (checkpoint_id, None, "alice")
        assert getattr(operation, f"{noun}_id") == row_id
        service.end_operations()
        assert alice.rows(model)[0].status == "success"

    @pytest.mark.parametrize("minor", range(max(RESTORE.values())))
    def test_a_restore_of_a_caller_of_an_earlier_version(self, service: Service, alice: Tenant, minor: int) -> None:
        checkpoint_id = alice.checkpoint()
        alice.start("restore", checkpoint_id)
        values = {"restore_id": str(uuid.uuid4()), "provider_id": service.provider_id, "checkpoint_id": checkpoint_id}
        values |= {"parameters": {}, "restore_target": None, "restore_auth": None, "resources": None}
        values |= {"with_children": True, "dry_run": False}
        sent = {name: value for name, value in values.items() if RESTORE[name] <= minor}
        alice.client._call(alice.context, "restore", **sent)
        now, earlier = alice.rows(Operation)[-2:]
        assert earlier.parameters == now.parameters
        assert earlier.restore_id == values["restore_id"]

    @both
    def test_a_repeated_restore_or_verification_changes_nothing(self, alice: Tenant, bob: Tenant, noun: str) -> None:
        row_id = alice.start(noun, alice.checkpoint())
        before = alice.counts()
        alice.start(noun, UNKNOWN, provider_id=UNKNOWN, parameters={"OS::Nothing": {}}, **{f"{noun}_id": row_id})
        assert alice.counts() == before
        foreign = bob.checkpoint()
        with bob.refused(exception.Conflict):
            bob.start(noun, foreign, **{f"{noun}_id": row_id})

    @both
    def test_refused_restores_and_verifications(self, service: Service, alice: Tenant, noun: str) -> None:
        checkpoint_id = alice.checkpoint()
        with alice.refused(exception.CheckpointNotFound):
            alice.start(noun, UNKNOWN)
        with alice.refused(exception.UnknownResourceType):
            alice.start(noun, checkpoint_id, parameters={"OS::Nothing": {}})
        with alice.refused(exception.UnknownParameter):
            alice.start(noun, checkpoint_id, parameters={service.resource_type: {"nope": 1}})
        if noun == "restore":
            with alice.refused(exception.InvalidInput):
                alice.start(noun, checkpoint_id, restore_target="http://elsewhere/v3")
            with alice.refused(exception.InvalidInput):
                alice.start(noun, checkpoint_id, resources=[f"{service.resource_type}#{UNKNOWN}"])
        alice.reset(checkpoint_id, "error")
        with alice.refused(exception.CheckpointNotAvailable):
            alice.start(noun, checkpoint_id)

    def test_copy_copies_what_is_not_copied_yet(self, service: Service, alice: Tenant) -> None:
        plan_id = alice.plan()
        source_ids = [alice.checkpoint(plan_id), alice.checkpoint(plan_id)]
        alice.protect(plan_id)
        answer = alice.copy(plan_id, parameters={service.resource_type: {"x": None}})
        pairs = answer.pop("checkpoint_id")
        assert [pair["checkpoint_protect_id"] for pair in pairs] == source_ids
        assert answer == {
            "project_id": alice.project_id,
            "provider_id": service.provider_id,
            "target_provider_id": service.other_provider_id,
            "plan_id": plan_id,
            "parameters": {service.resource_type: {}},
        }
        copies = {row.id: row for row in alice.rows(Checkpoint) if row.status == "wait_copying"}
        operations = {row.checkpoint_id: row for row in alice.rows(Operation) if row.operation_type == "copy"}
        assert set(copies) == set(operations) == {pair["checkpoint_copy_id"] for pair in pairs}
        for pair in pairs:
            row, operation = copies[pair["checkpoint_copy_id"]], operations[pair["checkpoint_copy_id"]]
            assert row.provider_id == row.plan["provider_id"] == operation.provider_id == service.other_provider_id
            assert row.extra_info["source_checkpoint_id"] == pair["checkpoint_protect_id"]
            assert (operation.source_checkpoint_id, operation.status) == (pair["checkpoint_protect_id"], "wait_copying")
            assert row.plan_id == operation.plan_id == plan_id
        assert alice.copy(plan_id)["checkpoint_id"] == []

    def test_a_repeated_copy_has_the_same_answer(self, service: Service, alice: Tenant) -> None:
        plan_id, copy_id = alice.plan(), str(uuid.uuid4())
        checkpoint_id = alice.checkpoint(plan_id)
        answer = alice.copy(plan_id, copy_id=copy_id)
        service.end_operations()
        alice.checkpoint(plan_id)
        before = alice.counts()
        assert alice.copy(plan_id, copy_id=copy_id) == answer
        assert alice.counts() == before
        # A checkpoint that the request names is copied again.
        (pair,) = alice.copy(plan_id, checkpoint_ids=[checkpoint_id])["checkpoint_id"]
        assert pair["checkpoint_protect_id"] == checkpoint_id
        assert pair["checkpoint_copy_id"] != answer["checkpoint_id"][0]["checkpoint_copy_id"]

    def test_refused_copies(self, service: Service, alice: Tenant, bob: Tenant) -> None:
        plan_id = alice.plan()
        with alice.refused(exception.PlanNotProtected):
            alice.copy(plan_id)
        checkpoint_id = alice.protect(plan_id)
        with alice.refused(exception.CheckpointNotAvailable):
            alice.copy(plan_id, checkpoint_ids=[checkpoint_id])
        with alice.refused(exception.CheckpointNotFound):
            alice.copy(plan_id, checkpoint_ids=[UNKNOWN])
        with alice.refused(exception.PlanNotFound):
            alice.copy(bob.plan())
        with alice.refused(exception.PlanWrongProvider):
            alice.copy(plan_id, provider_id=service.other_provider_id)
        with alice.refused(exception.ProviderNotFound):
            alice.copy(plan_id, target_provider_id=UNKNOWN)
        with alice.refused(exception.InvalidInput):
            alice.copy(plan_id, target_provider_id=service.provider_id)
        with alice.refused(exception.InvalidInput):
            alice.copy(alice.plan(provider_id=service.other_provider_id), provider_id=service.other_provider_id)
        with alice.refused(exception.UnknownResourceType):
            alice.copy(plan_id, parameters={"OS::Nothing": {}})

    def test_cancel(self, service: Service, alice: Tenant, bob: Tenant) -> None:
        alice.protect()
        (operation,) = alice.rows(Operation)
        for tenant, operation_id in ((alice, UNKNOWN), (bob, operation.id)):
            with tenant.refused(exception.OperationLogNotFound):
                tenant.client.cancel(tenant.context, operation_id=operation_id)
        assert not alice.rows(Operation)[0].cancel_requested
        for _ in range(2):
            alice.client.cancel(alice.context, operation_id=operation.id)
            assert alice.rows(Operation)[0].cancel_requested
        service.end_operations()
        assert alice.statuses() == ["error"]
        with alice.refused(exception.OperationEnded):
            alice.client.cancel(alice.context, operation_id=operation.id)

    def test_providers(self, service: Service, alice: Tenant) -> None:
        listed = alice.client.list_providers(alice.context)
        ids = [provider["id"] for provider in listed]
        assert ids == sorted([service.provider_id, service.other_provider_id])
        for provider in listed:
            assert alice.client.show_provider(alice.context, provider_id=provider["id"]) == provider
            assert set(provider) == {"id", "name", "description", "extended_info_schema"}
            schemas = provider["extended_info_schema"]
            assert set(schemas) == {"options_schema", "restore_schema", "saved_info_schema", "verify_schema"}
            assert service.option in schemas["options_schema"][service.resource_type]["properties"]
        with alice.refused(exception.ProviderNotFound):
            alice.client.show_provider(alice.context, provider_id=UNKNOWN)

    def test_protectables(self, service: Service, alice: Tenant) -> None:
        types = alice.client.list_protectables(alice.context)
        assert service.resource_type in types
        for name in types:
            shown = alice.client.show_protectable(alice.context, resource_type=name)
            assert (set(shown), shown["name"]) == ({"name", "dependent_types"}, name)
            assert set(shown["dependent_types"]) <= set(types)
        with alice.refused(exception.UnknownResourceType):
            alice.client.show_protectable(alice.context, resource_type="OS::Nothing")

    def test_instances(self, service: Service, alice: Tenant) -> None:
        def page(**arguments: Any) -> list[dict[str, Any]]:
            call = {"resource_type": service.resource_type, **arguments}
            return alice.client.list_instances(alice.context, **call)

        def show(resource_id: str, resource_type: str = service.resource_type) -> dict[str, Any]:
            return alice.client.show_instance(alice.context, resource_type=resource_type, resource_id=resource_id)

        listed = page()
        assert [instance["id"] for instance in listed] == list(service.resource_ids)
        assert {"type", "id", "name", "dependent_resources"} <= set(listed[0])
        assert [show(instance["id"]) for instance in listed] == listed
        assert page(limit=2) == listed[:2]
        assert page(marker=listed[1]["id"]) == listed[2:]
        assert page(limit=1, marker=listed[0]["id"]) == listed[1:2]
        for call in (lambda: page(marker=UNKNOWN), lambda: show(UNKNOWN)):
            with alice.refused(exception.ResourceNotFound):
                call()
        for call in (lambda: page(resource_type="OS::Nothing"), lambda: show("x", "OS::Nothing")):
            with alice.refused(exception.UnknownResourceType):
                call()

    def test_ping_names_the_host(self, alice: Tenant) -> None:
        assert set(alice.client.ping(alice.context, timeout=1)) == {"host"}
