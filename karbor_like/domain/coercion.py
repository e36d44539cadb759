"""Conversion of texts to the types that a JSON schema asks for: query strings and old clients send texts only."""

import re
from collections.abc import Mapping
from typing import Any

_INTEGER = re.compile(r"-?[0-9]{1,100}")
_TRUE = frozenset(("true", "yes", "y", "1"))
_FALSE = frozenset(("false", "no", "n", "0"))


def boolean(text: str) -> bool | None:
    """Return the boolean that a text means (true, yes, y, 1 and their opposites, in any case), or None."""
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else None


def coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    """Convert a text to the boolean or integer that *schema* asks for. Return any other value unchanged."""
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else types
    if not isinstance(value, str) or "string" in types:
        return value
    if "boolean" in types and (truth := boolean(value)) is not None:
        return truth
    if {"integer", "number"}.intersection(types) and _INTEGER.fullmatch(value):
        return int(value)
    return value
