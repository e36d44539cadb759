from karbor_like.api.schemas import primitives as p

_MOMENT = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$(?![\\n])",
    "description": "YYYY-MM-DD HH:MM:SS, UTC.",
}
_PROPERTIES: dict[str, p.Schema] = {
    "format": {"type": "string", "enum": ["calendar", "crontab"]},
    "pattern": {"type": "string", "minLength": 1, "maxLength": 4096},
    "start_time": _MOMENT,
    "end_time": _MOMENT,
    "window": {"type": "integer", "description": "Seconds that a run may be late."},
    "timezone": {
        "type": "string",
        "maxLength": 64,
        "description": "IANA name; the pattern's wall clock. UTC if absent.",
    },
}
_TYPE = {"type": "string", "enum": ["time"]}

CREATE = p.wrapped(
    "trigger_info",
    p.closed(
        {"name": p.NAME, "type": _TYPE, "properties": p.closed(_PROPERTIES, ["format", "pattern"])},
        ["name", "type", "properties"],
    ),
)
# Old clients send an empty object where they change nothing but the name.
UPDATE = p.wrapped(
    "trigger_info", p.closed({"name": p.NAME, "type": {"type": "string"}, "properties": p.closed(_PROPERTIES)})
)
LIST = p.listing("name", "type", "properties")

TRIGGER = p.shown(
    {
        "id": p.UUID,
        "name": p.NAME,
        "type": _TYPE,
        "properties": {
            "type": "object",
            "properties": dict.fromkeys(_PROPERTIES, {"type": "string"}),
            "required": ["format", "pattern", "start_time"],
        },
    }
)
SHOWN = p.answer("trigger_info", TRIGGER)
PAGE = p.page("triggers", TRIGGER)
