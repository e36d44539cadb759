"""Types of members that the API sends as text."""

import json
from datetime import UTC, datetime
from typing import Any

from openstack import format as sdk


class Time(sdk.Formatter[datetime | None]):
    """A time, ISO 8601, with microseconds. Without a zone, it is UTC."""

    @classmethod
    def deserialize(cls, value: Any) -> datetime | None:
        """Return an aware time."""
        if value is None or isinstance(value, datetime):
            return value
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class JsonText(sdk.Formatter[Any]):
    """The text of a JSON value."""

    @classmethod
    def deserialize(cls, value: Any) -> Any:
        """Return the value."""
        return json.loads(value) if isinstance(value, str) else value
