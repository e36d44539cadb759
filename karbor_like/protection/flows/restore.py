"""Restore and verify: run the resources' hooks on a checkpoint that stays as it is."""

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.domain import states
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession


def build(scope: OperationSession) -> Flow:
    """The flow of one restore or one verification."""
    flow = linear_flow.Flow(f"{scope.work.kind} {scope.work.checkpoint_id}")
    return flow.add(OpenCheckpoint(scope), resources(scope))


class OpenCheckpoint(Step):
    """Look whether the bank holds what the database says, before anything is made from it."""

    def __init__(self, scope: OperationSession) -> None:
        super().__init__(scope, "open checkpoint")

    def work(self) -> None:
        # The lease first: what is looked at afterwards is not collected.
        self.scope.lease.check()
        check_usable(self.scope.bank, self.scope.work.checkpoint_id, self.scope.work.owner_project)


def check_usable(bank: Bank, checkpoint_id: str, project_id: str) -> None:
    """Raises CheckpointNotFound or Conflict unless *bank* has the checkpoint, of that project and available."""
    found = bank.checkpoints.get(checkpoint_id)
    if found.status != states.AVAILABLE:
        raise exception.Conflict(f"checkpoint {checkpoint_id} is {found.status!r} in the bank, not 'available'")
    if found.project_id != project_id:
        raise exception.CheckpointNotFound(f"checkpoint {checkpoint_id} in the bank is another project's")
