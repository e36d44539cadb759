"""Protect: create the checkpoint in the bank, run the resources' hooks, commit."""

from collections.abc import Mapping
from typing import Any

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import CheckpointRecord
from karbor_like.db import operations
from karbor_like.domain import states
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.operation.spec import OperationSpec


def build(scope: OperationSession) -> Flow:
    """The flow of one protect."""
    flow = linear_flow.Flow(f"protect {scope.work.checkpoint_id}")
    return flow.add(CreateCheckpoint(scope), resources(scope), CompleteCheckpoint(scope))


def record(work: OperationSpec) -> CheckpointRecord:
    """What the bank keeps of a checkpoint besides its resources."""
    return CheckpointRecord(
        id=work.checkpoint_id,
        project_id=work.owner_project,
        provider_id=work.provider_id,
        plan=dict(work.plan),
        resource_graph=work.graph.to_text(),
        extra_info=dict(work.extra_info),
        created_at=work.created_at,
        status=states.OPERATION[work.kind].running,
    )


class CreateCheckpoint(Step):
    """Create the checkpoint in the bank. It is undone last: then the bank knows that it failed."""

    def __init__(self, scope: OperationSession) -> None:
        super().__init__(scope, "create checkpoint")

    def work(self) -> None:
        self.scope.bank.checkpoints.create(record(self.scope.work), self.scope.lease)

    def undo(self, failures: Mapping[str, Any]) -> None:
        try:
            self.scope.bank.checkpoints.event(self.scope.work.checkpoint_id, states.ERROR)
        except exception.NotFound:
            # It was never created.
            return


class CompleteCheckpoint(Step):
    """Commit. From here on the checkpoint is available whatever happens to this process: the rows follow.

    :param detail: what the commit says besides the resources' sizes
    """

    def __init__(self, scope: OperationSession, **detail: Any) -> None:
        super().__init__(scope, "complete checkpoint")
        self._detail = detail

    def work(self) -> None:
        work = self.scope.work
        with self.scope.env.database.reader() as session:
            rows = operations.resources_of(session, [work.id])
            sizes = {
                row.resource_key: {
                    "logical": row.logical_bytes,
                    "new": row.new_bytes,
                    "stored": row.stored_bytes,
                }
                for row in rows
                if row.logical_bytes is not None
            }
        self.scope.bank.checkpoints.commit(work.checkpoint_id, self.scope.lease, {"sizes": sizes, **self._detail})
