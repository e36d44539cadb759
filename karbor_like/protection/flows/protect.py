"""The protect flow: create the checkpoint in the bank, run the resources' hooks, commit."""

from collections.abc import Mapping
from typing import Any

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import CheckpointRecord
from karbor_like.domain import left_out, states
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.operation.spec import OperationSpec


def build(operation: OperationSession) -> Flow:
    """Build the flow of one protect."""
    flow = linear_flow.Flow(f"protect {operation.spec.checkpoint_id}")
    return flow.add(CreateCheckpoint(operation), resources(operation), CompleteCheckpoint(operation))


def record(spec: OperationSpec) -> CheckpointRecord:
    """Build the record of a checkpoint for the bank."""
    return CheckpointRecord(
        id=spec.checkpoint_id,
        project_id=spec.bank_project,
        provider_id=spec.provider_id,
        plan=dict(spec.plan),
        resource_graph=spec.graph.to_text(),
        extra_info=dict(spec.extra_info),
        created_at=spec.created_at,
        status=states.OPERATION[spec.kind].running,
    )


class CreateCheckpoint(Step):
    """Create the checkpoint in the bank. This task is reverted last: the bank then records the failure."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "create checkpoint")

    def perform(self) -> None:
        self.operation.bank.checkpoints.create(record(self.operation.spec), self.operation.lease)

    def undo(self, failures: Mapping[str, Any]) -> None:
        try:
            self.operation.bank.checkpoints.event(self.operation.spec.checkpoint_id, states.ERROR)
        except exception.NotFound:
            # It was never created.
            return


class CompleteCheckpoint(Step):
    """Commit the checkpoint. From then on it is available even if this process dies: the rows follow.

    :param detail: additional members of the commit event
    """

    def __init__(self, operation: OperationSession, **detail: Any) -> None:
        super().__init__(operation, "complete checkpoint")
        self._detail = detail

    def perform(self) -> None:
        spec = self.operation.spec
        rows = self.operation.rows()
        sizes = {
            row.resource_key: {
                "logical": row.logical_bytes,
                "new": row.new_bytes,
                "stored": row.stored_bytes,
            }
            for row in rows
            if row.logical_bytes is not None and row.status != states.LEFT_OUT
        }
        # The plan in the bank, which does not change, names those that were left out before.
        lacking = left_out.recorded({}, spec.left_out(rows))
        if spec.graph.nodes and len(left_out.entries(lacking)) == len(spec.graph.nodes):
            # Retention must not count a checkpoint without any resource.
            raise exception.ResourceFailed(f"no resource could be protected; {left_out.describe(lacking)}")
        self.operation.bank.checkpoints.commit(
            spec.checkpoint_id, self.operation.lease, {"sizes": sizes, **lacking, **self._detail}
        )
