"""The delete flow: record the deletion in the bank, run the resources' hooks, delete the checkpoint in the bank.

The hooks delete what a plugin stored outside the bank, and may delete sections.
"""

import logging
from collections.abc import Mapping
from typing import Any

from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain import states
from karbor_like.protection.flows.builder import resources
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)


def build(operation: OperationSession) -> Flow:
    """Build the flow of one deletion."""
    flow = linear_flow.Flow(f"delete {operation.spec.checkpoint_id}")
    return flow.add(BeginDeletion(operation), resources(operation), DeleteCheckpoint(operation))


class BeginDeletion(Step):
    """Record in the bank that the checkpoint is being deleted, before any part of it is deleted.

    Otherwise other sites would treat an incomplete checkpoint as available. This task is reverted last: the bank then
    records that the deletion failed. If the bank cannot be written, nothing was changed, and the checkpoint is what it was.
    """

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "begin deletion")
        # A process that died may have recorded it before, and the listing may not show that yet.
        self._recorded = operation.spec.attempts > 1

    def perform(self) -> None:
        recorded, self._recorded = self._recorded, True
        try:
            self._record(states.DELETING)
        except errors.UNWRITABLE:
            self._recorded = recorded
            raise

    def failed(self, error: BaseException) -> None:
        if not self._recorded:
            self.operation.failed_status = self.operation.spec.status_before

    def undo(self, failures: Mapping[str, Any]) -> None:
        if self.operation.failed_status is None:
            self._record(states.ERROR_DELETING)

    def _record(self, status: str) -> None:
        checkpoint_id = self.operation.spec.checkpoint_id
        try:
            self.operation.bank.checkpoints.event(checkpoint_id, status)
        except (exception.NotFound, exception.Conflict):
            # The checkpoint was never written to the bank, or an earlier attempt wrote the tombstone.
            return
        except errors.UNREADABLE as error:
            LOG.warning("Checkpoint %s is deleted although it cannot be read: %s", checkpoint_id, error)


class DeleteCheckpoint(Step):
    """Delete the checkpoint in the bank, commit event first. Garbage collection frees unreferenced blocks later."""

    def __init__(self, operation: OperationSession) -> None:
        super().__init__(operation, "delete checkpoint")

    def perform(self) -> None:
        try:
            self.operation.bank.checkpoints.delete(self.operation.spec.checkpoint_id)
        except exception.NotFound:
            # The checkpoint was never written to the bank, or an earlier attempt deleted it.
            return
