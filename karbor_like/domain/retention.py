"""Which checkpoints of a plan a retention policy keeps and which it deletes, and why: a pure function.

A checkpoint is kept when *any* rule keeps it, and deleted when rules were given and none does. Whatever the rules say, the
last available checkpoint stays, and so does one that is in use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from karbor_like import exception


@dataclass(frozen=True)
class Candidate:
    """An available checkpoint of the plan.

    :param created_at: timezone-aware UTC
    :param in_use: what uses it (a restore, a copy ...), or None
    """

    id: str
    created_at: datetime
    in_use: str | None = None


@dataclass(frozen=True)
class Decision:
    """What is to become of a checkpoint, and why."""

    id: str
    delete: bool
    reason: str


def _hour(moment: datetime) -> Any:
    return moment.year, moment.month, moment.day, moment.hour


def _day(moment: datetime) -> Any:
    return moment.date()


def _week(moment: datetime) -> Any:
    return tuple(moment.isocalendar())[:2]


def _month(moment: datetime) -> Any:
    return moment.year, moment.month


def _year(moment: datetime) -> Any:
    return moment.year


#: Grandfather, father, son: the newest checkpoint of each of the last n periods that have one. Periods are UTC.
PERIODS: Final[Mapping[str, Callable[[datetime], Any]]] = {
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
#: Days; no date is so long ago that it could not be said.
MAX_DURATION: Final = 36_500
RULES: Final = ("max_backups", "retention_duration", *PERIODS)


def policy(definition: Mapping[str, Any]) -> dict[str, int]:
    """The retention rules in an operation's definition. Raises InvalidInput where a count is not a positive integer."""
    found = {}
    for name in RULES:
        value = definition.get(name)
        if value is None or value == "":
            continue
        try:
            count = int(value)
        except (TypeError, ValueError):
            count = 0
        if count <= 0 or isinstance(value, (bool, float)):
            raise exception.InvalidInput(f"{name}: {value!r} is not an integer above 0")
        found[name] = count
    return found


def check(definition: Mapping[str, Any]) -> None:
    """Raises InvalidInput where somebody asks for rules that are none, or to keep checkpoints for longer than is allowed."""
    days = policy(definition).get("retention_duration", 0)
    if days > MAX_DURATION:
        raise exception.InvalidInput(f"retention_duration: {days} days is too long; give at most {MAX_DURATION}")


def decide(copies: Sequence[Candidate], rules: Mapping[str, int], now: datetime) -> Sequence[Decision]:
    """A decision on each of *copies* (available checkpoints of one plan), newest first.

    :param rules: as :func:`policy` returns them; without any, everything is kept
    """
    ordered = sorted(copies, key=lambda copy: (copy.created_at, copy.id), reverse=True)
    kept = _kept(ordered, rules, now)
    decisions = []
    for number, copy in enumerate(ordered):
        if copy.id in kept:
            decisions.append(Decision(copy.id, False, kept[copy.id]))
        elif number == 0:
            decisions.append(Decision(copy.id, False, "it is the last available checkpoint of the plan"))
        elif copy.in_use:
            decisions.append(Decision(copy.id, False, f"it is in use: {copy.in_use}"))
        else:
            limits = ", ".join(f"{name} {count}" for name, count in rules.items())
            decisions.append(Decision(copy.id, True, f"no rule keeps it ({limits})"))
    return decisions


def _kept(ordered: Sequence[Candidate], rules: Mapping[str, int], now: datetime) -> dict[str, str]:
    if not rules:
        return {copy.id: "there is no rule" for copy in ordered}
    kept: dict[str, str] = {}
    # Both old rules limit: with both, a checkpoint must satisfy both. The periods each keep on their own.
    limits = {name: rules[name] for name in ("max_backups", "retention_duration") if name in rules}
    # What was stored before there was a limit may be beyond it.
    days = min(limits.get("retention_duration", 0), MAX_DURATION)
    oldest = now - timedelta(days=days) if days else None
    newest = ordered[: limits.get("max_backups", len(ordered))] if limits else []
    for copy in newest:
        if oldest is None or copy.created_at >= oldest:
            kept[copy.id] = "within " + " and ".join(f"{name} {count}" for name, count in limits.items())
    for name, period in PERIODS.items():
        seen: set[Any] = set()
        for copy in ordered:
            if len(seen) == rules.get(name, 0):
                break
            if period(copy.created_at) not in seen:
                seen.add(period(copy.created_at))
                kept.setdefault(copy.id, f"the newest of one of {rules[name]} {name} periods")
    return kept
