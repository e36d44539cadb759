"""The copy flow: create the copy in its bank, copy the section of each resource, commit. No request goes to the cloud."""

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like.domain import copies
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.protect import CompleteCheckpoint, CreateCheckpoint
from karbor_like.protection.flows.restore import check_usable
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession


def build(operation: OperationSession) -> Flow:
    """Build the flow of one copy."""
    flow = linear_flow.Flow(f"copy {operation.spec.checkpoint_id}")
    # The commit event carries the copy's extra_info, so that other sites, which see only the bank, show it too.
    complete = CompleteCheckpoint(operation, extra_info=copies.FINISHED)
    return flow.add(OpenSource(operation), CreateCheckpoint(operation), resources(operation), complete)


class OpenSource(Step):
    """Check that the source's bank holds an available source, before anything is written to the copy's bank."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "open source")

    def perform(self) -> None:
        source = self.operation.source
        assert source is not None
        # The lease is taken first: it protects what is checked from garbage collection.
        check_usable(source.bank, source.checkpoint_id, str(self.operation.spec.source_project), source.lease)
