"""The contract of a scheduled operation's type: what is done when its trigger fires.

Types are entry points ``karbor_like.operations``. The operation engine records runs, retries them within their window and
follows what they start; a type says what to ask of the REST API, and nothing else. Every call may be made again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Api(Protocol):
    """The REST API, acting as the owner of the scheduled operation. Calls raise the errors of the error tree."""

    def protect(self, provider_id: str, plan_id: str, extra_info: Mapping[str, Any], key: str) -> str:
        """Begin a checkpoint and return its id. The same *key* never begins a second one."""
        ...

    def checkpoints(self, provider_id: str, plan_id: str) -> Sequence[Mapping[str, Any]]:
        """All available checkpoints of a plan."""
        ...

    def delete(self, provider_id: str, checkpoint_id: str) -> bool:
        """Begin to delete a checkpoint. False where it is gone already or is in use."""
        ...


@dataclass(frozen=True)
class ScheduledCall:
    """One run of one scheduled operation.

    :param definition: the operation's ``operation_definition``
    :param extra_info: what the checkpoint is to say of who made it
    :param key: the same for every attempt to begin the same thing
    :param now: timezone-aware UTC
    """

    definition: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    key: str
    now: datetime


class ScheduledOperationType(ABC):
    """One type of scheduled operation."""

    @abstractmethod
    def begin(self, api: Api, run: ScheduledCall) -> str:
        """Ask for a checkpoint and return its id; the engine follows it until it is available or failed."""

    def finish(self, api: Api, run: ScheduledCall) -> str | None:
        """The checkpoint is available. Returns what was done besides, in a few words, for the log."""
        return None
