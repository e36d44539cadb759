"""Statuses of the objects of the API, and the transitions that each allows: names and rules only.

``protection/operation/lifecycle.py`` makes the transitions. Existing clients compare these values, which are those of the
REST API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from karbor_like import exception
from karbor_like.domain.operation import OperationType

PROTECTING: Final = "protecting"
AVAILABLE: Final = "available"
ERROR: Final = "error"
DELETING: Final = "deleting"
DELETED: Final = "deleted"
ERROR_DELETING: Final = "error-deleting"
WAIT_COPYING: Final = "wait_copying"
COPYING: Final = "copying"

IN_PROGRESS: Final = "in_progress"
SUCCESS: Final = "success"
FAIL: Final = "fail"

SUSPENDED: Final = "suspended"
STARTED: Final = "started"

#: Statuses of a resource in an operation log. Result statuses that plugins choose are not listed here.
RESTORING: Final = "restoring"
VERIFYING: Final = "verifying"
#: The checkpoint does not contain the resource, because it could not be protected.
LEFT_OUT: Final = "left_out"


@dataclass(frozen=True)
class Lifecycle:
    """The allowed transitions of one kind of object.

    :param noun: name of the kind in messages
    :param changes: status -> statuses that may follow it
    """

    noun: str
    changes: Mapping[str, frozenset[str]]

    def sources(self, to: str) -> tuple[str, ...]:
        """Return the statuses from which *to* can be reached, for use in a compare-and-set."""
        return tuple(sorted(state for state, targets in self.changes.items() if to in targets))

    def check(self, object_id: str, old: str, new: str) -> None:
        """Check that *old* may change to *new*.

        :raises Conflict: the transition is not allowed
        """
        if new not in self.changes.get(old, ()):
            allowed = ", ".join(self.sources(new)) or "no status"
            raise exception.WrongState(
                f"{self.noun} {object_id}: cannot change from {old!r} to {new!r}; {new!r} can follow {allowed}"
            )


def _lifecycle(noun: str, **changes: str) -> Lifecycle:
    table = {state.replace("__", "-"): frozenset(targets.split()) for state, targets in changes.items()}
    return Lifecycle(noun, table)


CHECKPOINT: Final = _lifecycle(
    "checkpoint",
    protecting="available error",
    # The owner can reset the status from available to error and back.
    available="deleting error",
    error="deleting available",
    # A bank that cannot be written refuses a deletion before anything was deleted.
    deleting="deleted error-deleting available error",
    # A failed deletion can be retried, or abandoned by a reset of the status.
    error__deleting="deleting available error",
    wait_copying="copying error",
    copying="available error",
    deleted="",
)

#: Statuses of a checkpoint that is being created.
UNFINISHED: Final = frozenset({PROTECTING, WAIT_COPYING, COPYING})

#: Statuses that a tenant may reset to ``available`` or ``error`` while no operation runs on the checkpoint.
RESETTABLE: Final = frozenset({AVAILABLE, ERROR, ERROR_DELETING, COPYING, WAIT_COPYING})

RESTORE: Final = _lifecycle("restore", in_progress="success fail", success="", fail="")
VERIFICATION: Final = _lifecycle("verification", in_progress="success fail", success="", fail="")


@dataclass(frozen=True)
class OperationStatuses:
    """Statuses in the log of an operation and of its resources: while it runs, after success, and after failure.

    :param waiting: status in the log until the operation runs; None if it is the same as *running*
    """

    running: str
    done: str
    failed: str
    resource_running: str
    resource_done: str
    resource_failed: str = ERROR
    waiting: str | None = None


OPERATION: Final[Mapping[OperationType, OperationStatuses]] = {
    OperationType.PROTECT: OperationStatuses(PROTECTING, AVAILABLE, ERROR, PROTECTING, AVAILABLE),
    OperationType.DELETE: OperationStatuses(DELETING, DELETED, ERROR_DELETING, DELETING, DELETED),
    OperationType.COPY: OperationStatuses(COPYING, AVAILABLE, ERROR, COPYING, AVAILABLE, waiting=WAIT_COPYING),
    OperationType.RESTORE: OperationStatuses(IN_PROGRESS, SUCCESS, FAIL, RESTORING, AVAILABLE),
    OperationType.VERIFY: OperationStatuses(IN_PROGRESS, SUCCESS, FAIL, VERIFYING, AVAILABLE),
}
