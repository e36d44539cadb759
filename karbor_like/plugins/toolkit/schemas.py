"""JSON schemas of the documents that plugins keep in a bank, where they may be damaged or forged: everything is bounded."""

from collections.abc import Mapping
from typing import Any, Final

import jsonschema

from karbor_like import exception

Schema = Mapping[str, Any]

#: Longest text of a validator to pass on, in characters.
LONGEST_ERROR: Final = 300

TEXT: Final[Schema] = {"type": "string", "maxLength": 1024}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"], "maxLength": 1024}
FLAG: Final[Schema] = {"type": "boolean"}


def array(items: Schema, most: int = 1000) -> Schema:
    """Return the schema of an array of at most *most* items."""
    return {"type": "array", "maxItems": most, "items": items}


def record(**properties: Schema) -> Schema:
    """Return the schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def extended(schema: Schema, properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object that may have more properties than a :func:`record`."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def valid(document: Any, schema: Schema, what: str) -> dict[str, Any]:
    """Return a document from a bank. Raises CheckpointDamaged if it does not match its schema.

    :param what: what the document is, for the message
    """
    wrong = error(document, schema)
    if wrong:
        raise exception.CheckpointDamaged(f"{what} is damaged: {wrong}")
    return dict(document)


def error(document: Any, schema: Schema, root: str = "") -> str:
    """Return why a document does not match its schema, or an empty text.

    :param root: what the path of the wrong member begins with
    """
    found = next(jsonschema.Draft202012Validator(schema).iter_errors(document), None)
    if found is None:
        return ""
    # The message may contain the whole document.
    words = found.message if len(found.message) <= LONGEST_ERROR else f"it breaks the rule {found.validator!r}"
    # A path has names from the document.
    path = ".".join([*([root] if root else []), *map(str, found.absolute_path)])[:LONGEST_ERROR]
    return f"{path or 'the document'}: {words}"
