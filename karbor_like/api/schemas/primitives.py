"""Building blocks of the schemas for bodies, query strings and answers.

Every text, array and map of a request has a maximum size. The keywords for it precede those for its members, because
validation stops at the first array or object that is too large.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

# In Python, "$" alone also matches before a newline at the end.
_END = "$(?![\\n])"

#: Members of an array or a map that stand for objects of the tenant.
MAX_ITEMS: Final = 1_000
#: Options of a plugin, and members of other maps.
_MAX_MEMBERS: Final = 100
#: Characters of a value of an option, and of a parameter of a query string.
_MAX_VALUE: Final = 16_384
_MAX_TEXT: Final = 4_096

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "\\S"}
DESCRIPTION: Schema = {
    "type": ["string", "null"],
    "maxLength": 255,
    "pattern": f"^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*{_END}",
}
# Longer than the longest form, which begins with "urn:uuid:".
UUID: Schema = {"type": "string", "maxLength": 64, "format": "uuid"}
NULLABLE_UUID: Schema = {"type": ["string", "null"], "format": "uuid"}
NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
BYTES: Schema = {"type": ["integer", "null"], "minimum": 0}
TIME: Schema = {"type": ["string", "null"], "description": "ISO 8601, UTC, with microseconds and without a time zone."}

_KEY: Final = "[A-Za-z0-9\\-_:.#@ ]{1,255}"
_KEYS: Schema = {"maxLength": 255, "pattern": f"^{_KEY}{_END}"}

#: Key-value pairs of the tenant. Null means absent.
VALUES: Schema = {
    "type": "object",
    "maxProperties": _MAX_MEMBERS,
    "propertyNames": _KEYS,
    "additionalProperties": {"type": ["boolean", "string", "integer", "null"], "maxLength": _MAX_VALUE},
}
METADATA: Schema = {**VALUES, "type": ["object", "null"]}
#: Parameters of plugins, by ``Type`` or ``Type#id``, or ``*``. A value may be a map, such as ``network_map``.
PARAMETERS: Schema = {
    "type": "object",
    "maxProperties": MAX_ITEMS,
    "propertyNames": {"maxLength": 255, "pattern": f"^(\\*|{_KEY}){_END}"},
    "additionalProperties": {
        **VALUES,
        "additionalProperties": {
            "type": [*VALUES["additionalProperties"]["type"], "object"],
            "maxLength": _MAX_VALUE,
            "maxProperties": MAX_ITEMS,
            "propertyNames": {"minLength": 1, "maxLength": 255},
            "additionalProperties": {"type": "string", "maxLength": 255},
        },
    },
}

RESOURCE: Schema = {
    "type": "object",
    "maxProperties": _MAX_MEMBERS,
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "type": {"type": "string", "minLength": 1, "maxLength": 255},
        "name": {"type": ["string", "null"], "maxLength": 255},
        "extra_info": {"maxLength": _MAX_VALUE, "maxItems": _MAX_MEMBERS, "maxProperties": _MAX_MEMBERS},
    },
    "required": ["id", "type", "name"],
}
RESOURCES: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": RESOURCE}

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
        "queue": {
            "type": "object",
            "description": "While the operation waits in the queue of the protection services.",
            "properties": {
                "position": {"type": "integer", "minimum": 1, "description": "1 for the next operation."},
                "length": {"type": "integer", "minimum": 1, "description": "Operations that wait."},
            },
            "required": ["position", "length"],
        },
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
                    "result": {
                        "type": ["string", "null"],
                        "description": "What a restore has made of it, or uses instead, as Type#id; null until then.",
                    },
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


#: A parameter of a query string.
TEXT: Schema = {"type": "string", "maxLength": _MAX_TEXT}
_PAGING: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "description": "The maximum number of items on the page."},
    "offset": {"type": "integer", "minimum": 0, "maximum": 2147483647, "description": "The number of items to skip."},
    "marker": {**TEXT, "description": "The id of the last item of the previous page."},
    "sort": {
        "type": "string",
        "maxLength": 255,
        "description": "key[:asc|:desc],... Cannot be combined with sort_key or sort_dir.",
    },
    "sort_key": {"type": "string", "maxLength": 255, "description": "Default: created_at."},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"], "description": "Default: desc."},
}


def listing(*filters: str, **typed: Schema) -> Schema:
    """Return the schema of a list's query string: paging, sorting, ``all_tenants``, text filters and *typed* filters."""
    names = dict.fromkeys(("all_tenants", "project_id", *filters), TEXT)
    return {"type": "object", "properties": {**_PAGING, **names, **typed}}
