"""The restore and verify flows: run the resources' hooks on a checkpoint that does not change."""

import dataclasses
import logging

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.domain import states
from karbor_like.plugins.protection import Action
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)


def build(operation: OperationSession) -> Flow:
    """Build the flow of one restore or one verification."""
    flow = linear_flow.Flow(f"{operation.spec.kind} {operation.spec.checkpoint_id}")
    flow.add(OpenCheckpoint(operation))
    if operation.implementing("plan"):
        flow.add(CheckPlan(operation))
    template = AssembleTemplate(operation) if operation.implementing("contribute") else None
    return flow.add(resources(operation, template))


class OpenCheckpoint(Step):
    """Check that the bank holds an available checkpoint, before anything is created from it."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "open checkpoint")

    def perform(self) -> None:
        # Take the lease first: it protects what is checked from garbage collection.
        self.operation.lease.check()
        check_usable(self.operation.bank, self.operation.spec.checkpoint_id, self.operation.spec.owner_project)


class CheckPlan(Step):
    """Fail a restore that cannot succeed before it creates anything."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "check plan")

    def perform(self) -> None:
        conflicts = []
        for resource in self.operation.implementing("plan"):
            context = self.operation.hook_context(resource, self.operation.progress(resource))
            for planned in self.operation.resource_operation(resource).plan(context):
                LOG.info("Operation %s: %s %s (%s)", context.operation_id, *dataclasses.astuple(planned))
                if planned.action is Action.CONFLICT:
                    conflicts.append(f"{planned.resource_key}: {planned.reason}")
        if conflicts:
            raise exception.Conflict(f"nothing was restored: {'; '.join(conflicts)}")


class AssembleTemplate(Step):
    """Collect the contributions of all resources to the template of the restore."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "assemble template")

    def perform(self) -> None:
        self.operation.template  # noqa: B018 - collects them


def check_usable(bank: Bank, checkpoint_id: str, project_id: str) -> None:
    """Raise CheckpointNotFound or Conflict unless *bank* holds the checkpoint, available and of *project_id*."""
    record = bank.checkpoints.get(checkpoint_id)
    if record.status != states.AVAILABLE:
        raise exception.CheckpointNotAvailable(
            f"checkpoint {checkpoint_id} is {record.status!r} in the bank, not 'available'"
        )
    if record.project_id != project_id:
        raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} in the bank is another project's")
