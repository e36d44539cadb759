"""The health of a process: whether what it needs answers, for those who need no token to ask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.shared import SharedAnswer
from karbor_like.watchdog import Watchdog

#: What a check is called -> the check, which raises an error of the project or of the database.
Checks = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Finding:
    """The result of a check, with its line in the answer. The line contains no secret and no address."""

    good: bool
    line: str


def look(name: str, check: Callable[[], object]) -> Finding:
    """Run *check*."""
    try:
        check()
    except exception.Unavailable as error:
        # The text may contain the address of a service.
        return Finding(False, f"{name}: {exception.public_text(error)}")
    except exception.KarborLikeError as error:
        return Finding(False, f"{name}: {error.message}")
    except db_exception.DBError:
        # No token is needed, and the text of a database error may contain its address.
        return Finding(False, f"{name}: does not answer")
    return Finding(True, f"{name}: OK")


def check_threads(watchdog: Watchdog) -> None:
    """Check that no thread hangs.

    :raises Unavailable: names those that do
    """
    hangs = watchdog.hangs()
    if hangs:
        raise exception.Unavailable("; ".join(map(str, hangs)))


class Health:
    """The checks of one process, of which one runs at a time, no matter how many clients ask.

    :param patience: seconds for all checks together
    """

    def __init__(self, checks: Checks, patience: float, clock: Clock) -> None:
        late = Finding(False, f"health: the checks have lasted longer than {patience:g} s")
        self._answer = SharedAnswer[Sequence[Finding]](
            "health",
            lambda: [look(name, check) for name, check in checks.items()],
            patience,
            clock,
            late=[late],
            failed=lambda error: [Finding(False, f"health: unexpected {type(error).__name__}")],
        )

    def findings(self) -> Sequence[Finding]:
        """Return the results of all checks."""
        return self._answer.get()
