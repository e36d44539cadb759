"""JSON objects as they lie in a bank: written compactly, and read as what anybody may have put there."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from karbor_like.bank import errors


def load(key: str, raw: bytes, version: int | None = None) -> dict[str, Any]:
    """The JSON object that *raw* is.

    :param key: under which it was stored, for the error
    :param version: what its member ``version`` must be; None where it has no such member
    :raises Corrupted: it is no JSON (:rfc:`8259`), no object, or has a number that is none or too large for one
    :raises UnsupportedVersion: it has another version
    """
    try:
        value = json.loads(raw, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise errors.Corrupted(f"{key}: holds no JSON") from None
    if not isinstance(value, dict):
        raise errors.Corrupted(f"{key}: holds JSON that is not an object")
    if version is not None and value.get("version") != version:
        raise errors.UnsupportedVersion(f"{key} has version {value.get('version')!r}; this program knows {version}")
    return value


def dump(value: Mapping[str, Any]) -> bytes:
    """*value* as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )


def moment(key: str, value: object) -> datetime:
    """The time that *value*, a member of what was stored under *key*, is in ISO 8601 and with its zone. Raises Corrupted."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise errors.Corrupted(f"{key}: {value!r} is no time, or has no time zone")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number
