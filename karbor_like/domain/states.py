"""Every state and every legal change of it, one table per lifecycle. Names and rules only: who moves is ``lifecycle.py``.

The words are those of the REST API, which existing clients compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from karbor_like import exception

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

#: How a resource of an operation is doing. Plugins' own words for results do not pass through here.
RESTORING: Final = "restoring"
VERIFYING: Final = "verifying"


@dataclass(frozen=True)
class Lifecycle:
    """The legal changes of one kind of object.

    :param noun: what the object is called in messages
    :param changes: state -> the states it may go to
    """

    noun: str
    changes: Mapping[str, frozenset[str]]

    def sources(self, to: str) -> tuple[str, ...]:
        """The states from which *to* may be reached: what a compare-and-set allows."""
        return tuple(sorted(state for state, targets in self.changes.items() if to in targets))

    def check(self, object_id: str, old: str, new: str) -> None:
        """Raises Conflict where *old* may not become *new*."""
        if new not in self.changes.get(old, ()):
            allowed = ", ".join(self.sources(new)) or "no state"
            raise exception.Conflict(
                f"{self.noun} {object_id} is {old!r} and cannot become {new!r}: that is possible from {allowed}"
            )


def _lifecycle(noun: str, **changes: str) -> Lifecycle:
    table = {state.replace("__", "-"): frozenset(targets.split()) for state, targets in changes.items()}
    return Lifecycle(noun, table)


CHECKPOINT: Final = _lifecycle(
    "checkpoint",
    protecting="available error",
    # error and available: an owner's reset of the state.
    available="deleting error",
    error="deleting available",
    deleting="deleted error-deleting",
    # A deletion that failed may be tried again, or given up.
    error__deleting="deleting available error",
    wait_copying="copying error",
    copying="available error",
    deleted="",
)

#: The states that a tenant may reset to ``available`` or ``error`` while no operation runs on the checkpoint.
RESETTABLE: Final = frozenset({AVAILABLE, ERROR, ERROR_DELETING, COPYING, WAIT_COPYING})

RESTORE: Final = _lifecycle("restore", in_progress="success fail", success="", fail="")
VERIFICATION: Final = _lifecycle("verification", in_progress="success fail", success="", fail="")


@dataclass(frozen=True)
class OperationStatuses:
    """What an operation's log says while it runs, when it succeeded and when it failed; and what its resources say.

    :param waiting: what the log says until it runs; the same as *running* where None
    """

    running: str
    done: str
    failed: str
    resource_running: str
    resource_done: str
    resource_failed: str = ERROR
    waiting: str | None = None


#: By operation type.
OPERATION: Final[Mapping[str, OperationStatuses]] = {
    "protect": OperationStatuses(PROTECTING, AVAILABLE, ERROR, PROTECTING, AVAILABLE),
    "delete": OperationStatuses(DELETING, DELETED, ERROR_DELETING, DELETING, DELETED),
    "copy": OperationStatuses(COPYING, AVAILABLE, ERROR, COPYING, AVAILABLE, waiting=WAIT_COPYING),
    "restore": OperationStatuses(IN_PROGRESS, SUCCESS, FAIL, RESTORING, AVAILABLE),
    "verify": OperationStatuses(IN_PROGRESS, SUCCESS, FAIL, VERIFYING, AVAILABLE),
}
