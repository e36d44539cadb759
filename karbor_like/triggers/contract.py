"""The contract of a trigger's type: what makes scheduled operations run.

Types are entry points ``karbor_like.trigger_types``. The operation engine fires what is due by ``next_run_at``, whatever
the type; a type says what properties its triggers have and when they fire. ``time`` knows that from the clock. One whose
triggers fire because something happened has no next time: whoever hears of the event sets ``next_run_at``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self

from oslo_config import cfg

from karbor_like import exception


class NotInstalled(exception.InvalidInput):
    """A trigger needs a plugin that is not there, or could not be loaded."""


@dataclass(frozen=True)
class Limits:
    """What the operator allows, in seconds: between two runs at least, and how late a run may be."""

    min_interval: int
    min_window: int
    max_window: int

    def __post_init__(self) -> None:
        if not self.min_window < self.max_window or 2 * self.max_window > self.min_interval:
            raise exception.ConfigurationError(
                f"[trigger] min_window {self.min_window} must be less than max_window {self.max_window}, and that at most "
                f"half of min_interval {self.min_interval}"
            )

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Self:
        """What ``[trigger]`` says. Raises ConfigurationError where the options contradict each other."""
        return cls(conf.trigger.min_interval, conf.trigger.min_window, conf.trigger.max_window)


class Timing(Protocol):
    """When one trigger fires."""

    @property
    def window(self) -> int:
        """Seconds that a run may be late."""
        ...

    def next(self, after: datetime) -> datetime | None:
        """The first time (aware UTC) after *after*; None where that is not known, or never."""
        ...


class TriggerType(ABC):
    """One type of triggers. Made once per process, used by any number of threads."""

    #: JSON schema of the properties.
    schema: ClassVar[Mapping[str, Any]]

    def completed(self, properties: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
        """The properties of a new trigger, where some may be left out."""
        return properties

    @abstractmethod
    def check(self, properties: Mapping[str, Any], limits: Limits, now: datetime) -> Timing:
        """Understand properties that match the schema and that somebody asks for at *now*.

        Raises InvalidInput, naming the property, where they cannot be meant or break the limits.
        """

    @abstractmethod
    def parse(self, properties: Mapping[str, Any]) -> Timing:
        """Understand properties that were checked before and stored; ``window`` is always among them.

        Raises NotInstalled where something is lacking here that another process may have, InvalidInput where they cannot
        be understood by anybody.
        """


def of_type(types: Mapping[str, TriggerType], name: str) -> TriggerType:
    """The type of that name. Raises NotInstalled naming those that there are."""
    try:
        return types[name]
    except KeyError:
        raise NotInstalled(f"type: {name!r} is not one of {listed(types)}") from None


def listed(installed: Mapping[str, Any]) -> str:
    """The names of plugins, for messages."""
    return ", ".join(repr(name) for name in sorted(installed)) or "none: nothing is installed"
