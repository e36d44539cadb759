"""Delete: say so in the bank, run the resources' hooks (what a plugin keeps outside the bank goes, perhaps also what is in
it), then delete the checkpoint in the bank.
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


def build(scope: OperationSession) -> Flow:
    """The flow of one deletion."""
    flow = linear_flow.Flow(f"delete {scope.work.checkpoint_id}")
    return flow.add(BeginDeletion(scope), resources(scope), DeleteCheckpoint(scope))


class BeginDeletion(Step):
    """Say in the bank that the checkpoint is being deleted, before anything of it goes: no site is to take for whole what is
    not. It is undone last: then the bank knows that it failed.
    """

    def __init__(self, scope: OperationSession) -> None:
        super().__init__(scope, "begin deletion")

    def work(self) -> None:
        self._say(states.DELETING)

    def undo(self, failures: Mapping[str, Any]) -> None:
        self._say(states.ERROR_DELETING)

    def _say(self, status: str) -> None:
        checkpoint_id = self.scope.work.checkpoint_id
        try:
            self.scope.bank.checkpoints.event(checkpoint_id, status)
        except (exception.NotFound, exception.Conflict):
            # It never stood in the bank, or an earlier attempt went as far as the tombstone.
            return
        except errors.UNREADABLE as error:
            LOG.warning("checkpoint %s is deleted although it cannot be read: %s", checkpoint_id, error)


class DeleteCheckpoint(Step):
    """Delete it in the bank, commit event first. Blocks that nothing else refers to are the collector's."""

    def __init__(self, scope: OperationSession) -> None:
        super().__init__(scope, "delete checkpoint")

    def work(self) -> None:
        try:
            self.scope.bank.checkpoints.delete(self.scope.work.checkpoint_id)
        except exception.NotFound:
            # It never stood in the bank, or an earlier attempt went this far.
            return
