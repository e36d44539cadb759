"""Building blocks of the schemas for bodies, query strings and answers."""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

# In Python, "$" alone also matches before a newline at the end.
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
TIME: Schema = {"type": ["string", "null"], "description": "ISO 8601, UTC, with microseconds and without a time zone."}

_KEYS: Schema = {"pattern": f"^[A-Za-z0-9\\-_:.# ]{{1,255}}{_END}"}

#: Key-value pairs of the tenant. Null means absent.
VALUES: Schema = {
    "type": "object",
    "propertyNames": _KEYS,
    "additionalProperties": {"type": ["boolean", "string", "integer", "null"]},
}
METADATA: Schema = {**VALUES, "type": ["object", "null"]}
#: Parameters of plugins, by ``Type`` or ``Type#id``.
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

#: Progress and size of an operation. Old clients print or ignore these members.
PROGRESS: Schema = {
    "type": "object",
    "properties": {
        "bytes_done": {"type": "integer", "minimum": 0},
        "bytes_total": BYTES,
        "resources": {
            "type": "object",
            "description": "By resource, as Type#id.",
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
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def shown(properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object in an answer. It has all these properties; clients ignore unknown ones."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def wrapped(member: str, schema: Schema) -> Schema:
    """Return the schema of an object with *member* and nothing else."""
    return closed({member: schema}, [member])


def answer(member: str, schema: Schema) -> Schema:
    """Return the schema of an answer with one object."""
    return shown({member: schema})


def page(member: str, schema: Schema) -> Schema:
    """Return the schema of an answer with a page of a list, and a link if there may be another page."""
    return {
        "type": "object",
        "properties": {member: {"type": "array", "items": schema}, f"{member}_links": LINKS},
        "required": [member],
    }


_TEXT: Schema = {"type": "string"}
_PAGING: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "description": "The maximum number of items on the page."},
    "offset": {"type": "integer", "minimum": 0, "maximum": 2147483647, "description": "The number of items to skip."},
    "marker": {"type": "string", "description": "The id of the last item of the previous page."},
    "sort": {"type": "string", "description": "key[:asc|:desc],... Cannot be combined with sort_key or sort_dir."},
    "sort_key": {"type": "string", "description": "Default: created_at."},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"], "description": "Default: desc."},
}


def listing(*filters: str, **typed: Schema) -> Schema:
    """Return the schema of a list's query string: paging, sorting, ``all_tenants``, text filters and *typed* filters."""
    names = dict.fromkeys(("all_tenants", "project_id", *filters), _TEXT)
    return {"type": "object", "properties": {**_PAGING, **names, **typed}}
