"""The restore and verify flows: run the resources' hooks on a checkpoint that does not change."""

import logging
from collections.abc import Mapping
from typing import Any

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import Bank, Lease
from karbor_like.db.restores import RESTORES
from karbor_like.domain import states
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.resource import Resource
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation import cleanup, needs, planning
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.registry.providers import Deployer

LOG = logging.getLogger(__name__)


def build(operation: OperationSession) -> Flow:
    """Build the flow of one restore or one verification."""
    flow = linear_flow.Flow(f"{operation.spec.kind} {operation.spec.checkpoint_id}")
    flow.add(OpenCheckpoint(operation))
    if operation.spec.is_dry_run:
        return flow.add(RecordPlan(operation))
    if operation.implementing("plan") or operation.implementing("needs"):
        flow.add(CheckPlan(operation))
    template = DeployTemplate(operation) if operation.implementing("contribute") else None
    return flow.add(resources(operation, template))


class OpenCheckpoint(Step):
    """Check that the bank holds an available checkpoint, before anything is created from it."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "open checkpoint")

    def perform(self) -> None:
        # The lease is taken first: it protects what is checked from garbage collection.
        spec = self.operation.spec
        check_usable(self.operation.bank, spec.checkpoint_id, spec.bank_project, self.operation.lease)


class CheckPlan(Step):
    """Fail a restore that cannot succeed before it creates anything."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "check plan")

    def perform(self) -> None:
        conflicts = self._conflicts()
        by_resource: dict[Resource, list[str]] = {}
        for resource, line in conflicts:
            reason = line.reason if line.resource_key == resource.key else f"{line.resource_key}: {line.reason}"
            by_resource.setdefault(resource, []).append(reason)
        for resource, reasons in by_resource.items():
            failed = self.operation.statuses.resource_failed
            self.operation.record(resource.key, status=failed, reason="; ".join(reasons))
        if conflicts:
            reasons = [f"{line.resource_key}: {line.reason}" for _, line in conflicts]
            raise exception.Conflict(f"nothing was restored: {'; '.join(reasons)}")

    def _conflicts(self) -> list[tuple[Resource, PlannedAction]]:
        """Return the conflicts, each with the resource that has it."""
        every = []
        for resource in self.operation.implementing("plan"):
            context = self.operation.hook_context(resource, self.operation.progress(resource))
            every += [(resource, line) for line in planning.actions(self.operation, context)]
        for _, line in every:
            LOG.info("Operation %s: %s %s (%s)", self.operation.spec.id, line.action, line.resource_key, line.reason)
        conflicts = [each for each in every if each[1].action is Action.CONFLICT] + planning.contested(every)
        if not conflicts:
            conflicts = needs.conflicts(needs.compare(self.operation))
            contributors = self.operation.implementing("contribute")
            if self.operation.provider.deployer is Deployer.HEAT and contributors:
                conflicts += [(contributors[0], line) for line in planning.choose_deployer(self.operation)[1]]
        return conflicts


class RecordPlan(Step):
    """Find out what a restore would do, and record that as the result of the dry run."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "record plan")

    def perform(self) -> None:
        plan = planning.plan(self.operation)
        restore_id = str(self.operation.spec.restore_id)
        self.operation.database.write(lambda session: RESTORES.update(session, restore_id, {"plan": plan}))


class DeployTemplate(Step):
    """Create the resources that all resources of the checkpoint contributed to the template of the restore."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "deploy template")

    def perform(self) -> None:
        contributor = self.operation.implementing("contribute")[0]
        context = self.operation.hook_context(contributor, self.operation.progress(contributor))
        self.operation.deployment(context).deploy()

    def undo(self, failures: Mapping[str, Any]) -> None:
        cleanup.remove_deployed(self.operation)


def check_usable(bank: Bank, checkpoint_id: str, project_id: str, lease: Lease) -> None:
    """Raise CheckpointNotFound or Conflict unless *bank* holds the checkpoint, available and of *project_id*.

    :param lease: the operation's lease of *bank*
    """
    record = bank.checkpoints.get(checkpoint_id, under=lease)
    if record.status != states.AVAILABLE:
        raise exception.CheckpointNotAvailable(
            f"checkpoint {checkpoint_id} is {record.status!r} in the bank, not 'available'"
        )
    if record.project_id != project_id:
        raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} in the bank is another project's")
