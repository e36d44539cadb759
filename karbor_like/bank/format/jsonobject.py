"""JSON objects in a bank: encoded compactly, and decoded as untrusted input."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from karbor_like.bank import errors
from karbor_like.bank.objectstore.base import ObjectStore


def get(store: ObjectStore, key: str, most: int) -> bytes:
    """Read an object that nothing authenticates, for :func:`load`, which may need 25 times its bytes of memory.

    :param most: bytes that such an object has at most
    :raises ObjectNotFound: there is no such object
    :raises Corrupted: it is larger, and was not read whole
    """
    raw = store.get(key, 0, most + 1)
    if len(raw) > most:
        raise errors.Corrupted(f"{key}: has more than {most} bytes")
    return raw


def load(key: str, raw: bytes, version: int | None = None) -> dict[str, Any]:
    """Decode the JSON object *raw*.

    :param key: under which it is stored, for errors
    :param version: expected value of its member ``version``; None if it has no such member
    :raises Corrupted: it is not JSON (:rfc:`8259`) or not an object, or has a number that is not finite
    :raises UnsupportedVersion: it has another version
    """
    try:
        value = json.loads(raw, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise errors.Corrupted(f"{key}: does not contain JSON") from None
    if not isinstance(value, dict):
        raise errors.Corrupted(f"{key}: contains JSON that is not an object")
    if version is not None and value.get("version") != version:
        raise errors.UnsupportedVersion(f"{key}: has version {value.get('version')!r}; this program supports {version}")
    return value


def dump(value: Mapping[str, Any]) -> bytes:
    """Encode *value* as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )


def moment(key: str, value: object) -> datetime:
    """Parse a timestamp, which must be in ISO 8601 and have a time zone. Raises Corrupted.

    :param key: of the object that *value* is a member of, for errors
    """
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise errors.Corrupted(f"{key}: {value!r} is not a timestamp with a time zone")
    return parsed


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
