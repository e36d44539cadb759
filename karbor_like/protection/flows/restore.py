"""The restore and verify flows: run the resources' hooks on a checkpoint that does not change."""

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.domain import states
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession


def build(operation: OperationSession) -> Flow:
    """Build the flow of one restore or one verification."""
    flow = linear_flow.Flow(f"{operation.spec.kind} {operation.spec.checkpoint_id}")
    return flow.add(OpenCheckpoint(operation), resources(operation))


class OpenCheckpoint(Step):
    """Check that the bank holds an available checkpoint, before anything is created from it."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "open checkpoint")

    def perform(self) -> None:
        # Take the lease first: it protects what is checked from garbage collection.
        self.operation.lease.check()
        check_usable(self.operation.bank, self.operation.spec.checkpoint_id, self.operation.spec.owner_project)


def check_usable(bank: Bank, checkpoint_id: str, project_id: str) -> None:
    """Raise CheckpointNotFound or Conflict unless *bank* holds the checkpoint, available and of *project_id*."""
    record = bank.checkpoints.get(checkpoint_id)
    if record.status != states.AVAILABLE:
        raise exception.CheckpointNotAvailable(
            f"checkpoint {checkpoint_id} is {record.status!r} in the bank, not 'available'"
        )
    if record.project_id != project_id:
        raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} in the bank is another project's")
