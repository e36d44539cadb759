"""The names of archives, and the deletion of old ones."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from karbor_like.control.targets import Target

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"karbor_like-(?P<host>[A-Za-z0-9._-]+)-(?P<time>\d{8}T\d{6}Z)\.archive")


def make_name(host: str, moment: datetime) -> str:
    """Return the name of an archive that *host* makes at *moment* (UTC)."""
    return f"karbor_like-{_quoted(host)}-{moment:{_TIME}}.archive"


def is_name(name: str) -> bool:
    """Return whether *name* is that of an archive."""
    return _NAME.fullmatch(name) is not None


def of_host(host: str, names: Sequence[str]) -> Sequence[str]:
    """Return those of *names* that are archives of *host*, newest first."""
    matches = [match for match in map(_NAME.fullmatch, names) if match and match["host"] == _quoted(host)]
    return [match[0] for match in sorted(matches, key=lambda match: match["time"], reverse=True)]


def prune(target: Target, host: str, keep: int, made: str) -> Sequence[str]:
    """Delete all archives of *host* but the newest *keep*.

    :param made: name of the archive that was just made, which is always kept
    :returns: the names of the deleted archives
    """
    old = [name for name in of_host(host, target.list())[keep:] if name != made]
    for name in old:
        target.delete(name)
    return old


def _quoted(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", host)
