"""Retention: the pure function that decides which checkpoints of a plan are kept or deleted, and gives the reason.

A checkpoint is kept if *any* rule keeps it. It is deleted if there are rules and none keeps it. The last available
checkpoint, the last one that left no resource out, and checkpoints in use are never deleted, regardless of the rules.

A checkpoint with a date in the future was created while a clock was wrong. It is kept, and takes no place of one whose date
is right: the rules would otherwise delete each new checkpoint until that date has come.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain import copies


@dataclass(frozen=True)
class Candidate:
    """An available checkpoint to which the rules are applied.

    :param created_at: timezone-aware UTC
    :param in_use: the operation that uses it (a restore, a copy ...), or None
    :param is_partial: whether it left out resources (:mod:`karbor_like.domain.left_out`)
    """

    id: str
    created_at: datetime
    in_use: str | None = None
    is_partial: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether a checkpoint is deleted, and the reason."""

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


#: Grandfather-father-son: keep the newest checkpoint of each of the last n periods that have one. Periods are in UTC.
PERIODS: Final[Mapping[str, Callable[[datetime], Any]]] = {
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
#: Days. The limit ensures that the oldest date to keep can be represented.
MAX_DURATION: Final = 36_500
RULES: Final = ("max_backups", "retention_duration", *PERIODS)


def policy(definition: Mapping[str, Any]) -> dict[str, int]:
    """Read the retention rules from the definition of a scheduled operation.

    :raises InvalidInput: a count is not a positive integer
    """
    rules = {}
    for name in RULES:
        value = definition.get(name)
        if value is None or value == "":
            continue
        try:
            count = int(value)
        except (TypeError, ValueError):
            count = 0
        if count <= 0 or isinstance(value, (bool, float)):
            raise exception.InvalidInput(f"{name}: {value!r} is not a positive integer")
        rules[name] = count
    return rules


def check(definition: Mapping[str, Any]) -> None:
    """Check the retention rules of a new scheduled operation.

    :raises InvalidInput: a count is not a positive integer, or a duration exceeds ``MAX_DURATION``
    """
    days = policy(definition).get("retention_duration", 0)
    if days > MAX_DURATION:
        raise exception.InvalidInput(f"retention_duration: {days} days is too long; give at most {MAX_DURATION}")


def candidates(
    checkpoints: Iterable[tuple[str, datetime, Mapping[str, Any] | None, bool]], in_use: Mapping[str, str] | None = None
) -> list[Candidate]:
    """Select the checkpoints of a plan to which retention applies: all except copies, which their owner keeps on purpose.

    :param checkpoints: id, creation time (aware UTC), ``extra_info``, and whether resources were left out, of the available
        checkpoints
    :param in_use: checkpoint id -> the operation that uses it
    """
    users = in_use or {}
    return [
        Candidate(checkpoint_id, created_at, users.get(checkpoint_id), is_partial)
        for checkpoint_id, created_at, extra_info, is_partial in checkpoints
        if copies.source_of(extra_info or {}) is None
    ]


def decide(checkpoints: Sequence[Candidate], rules: Mapping[str, int], now: datetime) -> Sequence[Decision]:
    """Decide on each of *checkpoints* (available checkpoints of one plan).

    :param rules: as :func:`policy` returns them; if empty, every checkpoint is kept
    :param now: by the clock that dates the checkpoints; those with a later date are kept and not counted
    :returns: the decisions, newest checkpoint first
    """
    listed = sorted(checkpoints, key=lambda candidate: (candidate.created_at, candidate.id), reverse=True)
    ordered = [candidate for candidate in listed if candidate.created_at <= now]
    reasons = _reasons_to_keep(ordered, rules, now)
    last_complete = next((number for number, candidate in enumerate(ordered) if not candidate.is_partial), None)
    decisions = [
        Decision(candidate.id, False, f"its date is after {now.isoformat(timespec='seconds')}")
        for candidate in listed[: len(listed) - len(ordered)]
    ]
    for number, candidate in enumerate(ordered):
        if candidate.id in reasons:
            decisions.append(Decision(candidate.id, False, reasons[candidate.id]))
        elif number == 0:
            decisions.append(Decision(candidate.id, False, "it is the last available checkpoint of the plan"))
        elif number == last_complete:
            decisions.append(
                Decision(candidate.id, False, "it is the last checkpoint of the plan that left nothing out")
            )
        elif candidate.in_use:
            decisions.append(Decision(candidate.id, False, f"it is in use: {candidate.in_use}"))
        else:
            limits = ", ".join(f"{name} {count}" for name, count in rules.items())
            decisions.append(Decision(candidate.id, True, f"no rule keeps it ({limits})"))
    return decisions


def _reasons_to_keep(ordered: Sequence[Candidate], rules: Mapping[str, int], now: datetime) -> dict[str, str]:
    if not rules:
        return {candidate.id: "there are no retention rules" for candidate in ordered}
    kept: dict[str, str] = {}
    # max_backups and retention_duration are limits: if both are set, a checkpoint must satisfy both. Each period rule keeps
    # checkpoints independently.
    limits = {name: rules[name] for name in ("max_backups", "retention_duration") if name in rules}
    # A definition that was stored before MAX_DURATION was introduced may exceed it.
    days = min(limits.get("retention_duration", 0), MAX_DURATION)
    oldest = now - timedelta(days=days) if days else None
    newest = ordered[: limits.get("max_backups", len(ordered))] if limits else []
    for candidate in newest:
        if oldest is None or candidate.created_at >= oldest:
            kept[candidate.id] = "within " + " and ".join(f"{name} {count}" for name, count in limits.items())
    for name, period in PERIODS.items():
        seen: set[Any] = set()
        for candidate in ordered:
            if len(seen) == rules.get(name, 0):
                break
            if period(candidate.created_at) not in seen:
                seen.add(period(candidate.created_at))
                kept.setdefault(candidate.id, f"the newest checkpoint of one of {rules[name]} {name} periods")
    return kept
