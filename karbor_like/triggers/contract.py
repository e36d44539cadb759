"""The contract of trigger types, which decide when scheduled operations run.

Types are entry points ``karbor_like.trigger_types``. The operation engine fires the triggers of all types when their
``next_run_at`` is due. A type defines the properties of its triggers and computes their due times. The due times of type
``time`` follow from the clock. Triggers that wait for an event have no next time: the receiver of the event sets
``next_run_at``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol, Self

from oslo_config import cfg

from karbor_like import exception

#: Years of start and end times.
YEARS: Final = range(1970, 2300)


class NotInstalled(exception.InvalidInput):
    """A trigger needs a plugin that is not installed or could not be loaded."""

    type = "trigger_type.not_installed"


@dataclass(frozen=True)
class Limits:
    """The operator's limits on triggers.

    :param min_interval: minimum time between two runs, in seconds
    :param min_window: smallest allowed window, in seconds
    :param max_window: largest allowed window, in seconds
    :raises ConfigurationError: the limits contradict each other
    """

    min_interval: int
    min_window: int
    max_window: int

    def __post_init__(self) -> None:
        if not self.min_window < self.max_window or 2 * self.max_window > self.min_interval:
            raise exception.ConfigurationError(
                f"[trigger] min_window {self.min_window}, max_window {self.max_window}, min_interval {self.min_interval}: "
                "expected min_window < max_window <= min_interval / 2"
            )

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Self:
        """Read the limits from ``[trigger]``.

        :raises ConfigurationError: the options contradict each other
        """
        return cls(conf.trigger.min_interval, conf.trigger.min_window, conf.trigger.max_window)


class Timing(Protocol):
    """The due times of one trigger."""

    @property
    def window(self) -> int:
        """How long after its due time a run may start, in seconds."""
        ...

    def next(self, after: datetime) -> datetime | None:
        """Return the first due time (aware UTC) after *after*, or None if it is unknown or there is none."""
        ...


class TriggerType(ABC):
    """A trigger type. Created once per process and used by several threads concurrently."""

    #: JSON schema of the properties.
    schema: ClassVar[Mapping[str, Any]]

    def completed(self, properties: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
        """Add defaults to the properties of a new trigger.

        :param now: the time of the request
        """
        return properties

    @abstractmethod
    def check(self, properties: Mapping[str, Any], limits: Limits, now: datetime) -> Timing:
        """Validate properties that match the schema and that a tenant requests at *now*.

        :raises InvalidInput: the properties are invalid or violate the limits; the message names the property
        """

    @abstractmethod
    def parse(self, properties: Mapping[str, Any]) -> Timing:
        """Parse stored properties, which passed :meth:`check` earlier and include ``window``.

        :raises NotInstalled: a plugin is missing in this process; another process may have it
        :raises InvalidInput: the properties are invalid in every process
        """


def of_type(types: Mapping[str, TriggerType], name: str) -> TriggerType:
    """Return the trigger type of that name.

    :raises NotInstalled: there is no such type; the message names the installed ones
    """
    try:
        return types[name]
    except KeyError:
        raise NotInstalled(f"type: {name!r} is not one of {format_names(types)}") from None


def stored_timing(types: Mapping[str, TriggerType], name: str, properties: Mapping[str, Any], window: int) -> Timing:
    """Return the due times of a stored trigger of the type *name*.

    :param window: seconds; of triggers that an earlier release stored without it
    :raises NotInstalled: as :func:`of_type` and :meth:`TriggerType.parse`
    :raises InvalidInput: the properties are invalid in every process
    """
    return of_type(types, name).parse({"window": window, **properties})


def format_names(installed: Mapping[str, Any]) -> str:
    """Format the names of installed plugins for messages."""
    return ", ".join(repr(name) for name in sorted(installed)) or "the installed plugins: there are none"
