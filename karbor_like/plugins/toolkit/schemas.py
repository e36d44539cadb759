"""JSON schemas of the documents that plugins keep in a bank, where they may be damaged or forged: everything is bounded."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string", "maxLength": 1024}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"], "maxLength": 1024}
FLAG: Final[Schema] = {"type": "boolean"}


def array(items: Schema, most: int = 1000) -> Schema:
    """Return the schema of an array of at most *most* items."""
    return {"type": "array", "maxItems": most, "items": items}


def record(**properties: Schema) -> Schema:
    """Return the schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
