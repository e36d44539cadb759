"""Time zones of the IANA database, by name."""

import zoneinfo
from datetime import UTC, tzinfo

_UTC = frozenset(("UTC", "Etc/UTC"))


def find(name: str) -> tzinfo | None:
    """Return the time zone *name*, which may come from a tenant, or None if the database has no such zone."""
    if name in _UTC:
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
