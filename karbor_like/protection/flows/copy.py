"""Copy: create the copy in its own bank, copy each resource's part of the source there, commit. The cloud is not asked."""

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like.domain import copies
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.protect import CompleteCheckpoint, CreateCheckpoint
from karbor_like.protection.flows.restore import check_usable
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession


def build(scope: OperationSession) -> Flow:
    """The flow of one copy."""
    flow = linear_flow.Flow(f"copy {scope.work.checkpoint_id}")
    # What else the commit says is what another site, which has nothing but the bank, shows as well.
    complete = CompleteCheckpoint(scope, extra_info=copies.FINISHED)
    return flow.add(OpenSource(scope), CreateCheckpoint(scope), resources(scope), complete)


class OpenSource(Step):
    """Look whether the source's bank holds what the database says, before anything is put into the other one."""

    def __init__(self, scope: OperationSession) -> None:
        super().__init__(scope, "open source")

    def work(self) -> None:
        source = self.scope.source
        assert source is not None
        # The lease first: what is looked at afterwards is not collected.
        source.check()
        check_usable(source.bank, source.checkpoint_id, self.scope.work.owner_project)
