"""Quotas: how much of something a project may have, and what an operation needs of it."""

from dataclasses import dataclass
from typing import Final

#: The limit that means no limit.
UNLIMITED: Final = -1
#: More than any project can use.
UNBOUNDED: Final = 2**53


@dataclass(frozen=True)
class Quota:
    """One quota of a project.

    :param limit: in the unit of the quota; :data:`UNLIMITED` for no limit
    :param used: what the project uses and has reserved
    """

    limit: int
    used: int = 0

    @property
    def free(self) -> int | None:
        """What the project may still create; None without a limit. Never negative."""
        return None if self.limit < 0 else max(self.limit - self.used, 0)

    def is_below(self, limit: int) -> bool:
        """Return whether this quota is lower than a limit."""
        return self.limit >= 0 and (limit < 0 or self.limit < limit)
