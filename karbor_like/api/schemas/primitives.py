"""The pieces that schemas of bodies, query strings and answers are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

# "$" alone would let a trailing newline through in Python.
_END = "$(?![\\n])"

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "\\S"}
DESCRIPTION: Schema = {
    "type": ["string", "null"],
    "maxLength": 255,
    "pattern": f"^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*{_END}",
}
UUID: Schema = {"type": "string", "format": "uuid"}
NULLABLE_UUID: Schema = {"type": ["string", "null"], "format": "uuid"}
NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
BYTES: Schema = {"type": ["integer", "null"], "minimum": 0}
TIME: Schema = {"type": ["string", "null"], "description": "ISO 8601, UTC, microseconds, without a zone."}

_KEYS: Schema = {"pattern": f"^[A-Za-z0-9\\-_:.# ]{{1,255}}{_END}"}

#: What a tenant may attach to things. Null is taken as absent.
VALUES: Schema = {
    "type": "object",
    "propertyNames": _KEYS,
    "additionalProperties": {"type": ["boolean", "string", "integer", "null"]},
}
METADATA: Schema = {**VALUES, "type": ["object", "null"]}
#: Options by ``Type`` or ``Type#id``.
PARAMETERS: Schema = {"type": "object", "propertyNames": _KEYS, "additionalProperties": VALUES}

RESOURCE: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "type": {"type": "string", "minLength": 1, "maxLength": 255},
        "name": {"type": ["string", "null"], "maxLength": 255},
        "extra_info": {},
    },
    "required": ["id", "type", "name"],
}
RESOURCES: Schema = {"type": "array", "items": RESOURCE, "minItems": 1}

LINKS: Schema = {
    "type": "array",
    "items": {"type": "object", "properties": {"rel": {"type": "string"}, "href": {"type": "string"}}},
}

#: How far an operation is, and what it cost: additions that old clients print or ignore.
PROGRESS: Schema = {
    "type": "object",
    "properties": {
        "bytes_done": {"type": "integer", "minimum": 0},
        "bytes_total": BYTES,
        "resources": {
            "type": "object",
            "description": "By Type#id.",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "status": {"type": "string"},
                    "step": NULLABLE_TEXT,
                    "reason": NULLABLE_TEXT,
                    "bytes_done": {"type": "integer", "minimum": 0},
                    "bytes_total": BYTES,
                    "logical_bytes": BYTES,
                    "new_bytes": BYTES,
                    "stored_bytes": BYTES,
                },
            },
        },
    },
    "required": ["bytes_done", "bytes_total", "resources"],
}
WORK: Mapping[str, Schema] = {
    "reason": NULLABLE_TEXT,
    "progress": PROGRESS,
    "logical_bytes": BYTES,
    "new_bytes": BYTES,
    "stored_bytes": BYTES,
}


def closed(properties: Mapping[str, Schema], required: Sequence[str] = (), **more: Any) -> Schema:
    """An object that may hold these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def shown(properties: Mapping[str, Schema]) -> Schema:
    """An object of an answer: always all of these properties; clients ignore those that they do not know."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def wrapped(member: str, schema: Schema) -> Schema:
    """The object that holds *schema* under *member* and nothing else."""
    return closed({member: schema}, [member])


def answer(member: str, schema: Schema) -> Schema:
    """An answer with one thing in it."""
    return shown({member: schema})


def page(member: str, schema: Schema) -> Schema:
    """An answer with a list in it, and a link where there may be more."""
    return {
        "type": "object",
        "properties": {member: {"type": "array", "items": schema}, f"{member}_links": LINKS},
        "required": [member],
    }


_TEXT: Schema = {"type": "string"}
_PAGING: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "description": "Items on a page at most."},
    "offset": {"type": "integer", "minimum": 0, "maximum": 2147483647, "description": "Items to leave out first."},
    "marker": {"type": "string", "description": "The id of the last item of the page before."},
    "sort": {"type": "string", "description": "key[:asc|:desc],... Not together with sort_key or sort_dir."},
    "sort_key": {"type": "string", "description": "created_at where absent."},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"], "description": "desc where absent."},
}


def listing(*filters: str, **typed: Schema) -> Schema:
    """The query string of a list: paging, sorting, ``all_tenants``, and filters, texts where not *typed*."""
    names = dict.fromkeys(("all_tenants", "project_id", *filters), _TEXT)
    return {"type": "object", "properties": {**_PAGING, **names, **typed}}
