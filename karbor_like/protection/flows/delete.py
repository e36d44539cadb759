"""Delete: run the resources' hooks (what a plugin keeps outside the bank goes), then delete the checkpoint in the bank."""

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.scope import Scope


def build(scope: Scope) -> Flow:
    """The flow of one deletion."""
    flow = linear_flow.Flow(f"delete {scope.work.checkpoint_id}")
    return flow.add(resources(scope), DeleteCheckpoint(scope))


class DeleteCheckpoint(Step):
    """Delete it in the bank, commit event first. Blocks that nothing else refers to are the collector's."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope, "delete checkpoint")

    def work(self) -> None:
        try:
            self.scope.bank.checkpoints.delete(self.scope.work.checkpoint_id)
        except exception.NotFound:
            # It never stood in the bank, or an earlier attempt went this far.
            return
