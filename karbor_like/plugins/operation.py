"""The contract of the types of scheduled operations, which define the action when a trigger fires.

Types are entry points ``karbor_like.operations``. The operation engine records runs, retries them within their window and
follows the operations that they start. A type only makes the requests to the REST API. Every call must be idempotent.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Api(Protocol):
    """The REST API, acting as the owner of the scheduled operation. Calls raise the exceptions of this project."""

    def protect(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any], key: str) -> str:
        """Create a checkpoint and return its id. Repeated with the same *key*, return the same checkpoint."""
        ...

    def checkpoints(self, provider_id: str, plan_id: str) -> Sequence[Mapping[str, Any]]:
        """Return all available checkpoints of a plan."""
        ...

    def delete(self, provider_id: str, checkpoint_id: str) -> bool:
        """Start the deletion of a checkpoint. Return False if it does not exist or is in use."""
        ...


@dataclass(frozen=True)
class ScheduledCall:
    """One run of one scheduled operation.

    :param definition: the operation's ``operation_definition``
    :param extra_info: the origin of the checkpoint, stored with it
    :param key: idempotency key, the same for every attempt at the run
    :param now: timezone-aware UTC
    :param checkpoint_id: the checkpoint that the run has created, or None
    """

    definition: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    key: str
    now: datetime
    checkpoint_id: str | None = None


class ScheduledOperationType(ABC):
    """One type of scheduled operation."""

    @abstractmethod
    def begin(self, api: Api, run: ScheduledCall) -> str:
        """Create a checkpoint and return its id. The engine follows it until it is available or failed."""

    def finish(self, api: Api, run: ScheduledCall) -> str | None:
        """Run when the checkpoint is available. Return a few words on further actions for the log, or None."""
        return None
