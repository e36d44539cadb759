from karbor_like.api.schemas import primitives as p
from karbor_like.triggers.time import TimeTrigger

#: The controller validates them with the schema of the trigger's type.
_PROPERTIES: p.Schema = {
    "type": "object",
    "maxProperties": 100,
    "anyOf": [
        TimeTrigger.schema,
        {"type": "object", "maxProperties": 100, "description": "Properties of another installed type."},
    ],
}
_TYPE = {"type": "string", "minLength": 1, "maxLength": 64, "description": "time, or another installed type."}

CREATE = p.wrapped(
    "trigger_info",
    p.closed({"name": p.NAME, "type": _TYPE, "properties": _PROPERTIES}, ["name", "type", "properties"]),
)
# Old clients send an empty object if they change only the name.
UPDATE = p.wrapped(
    "trigger_info", p.closed({"name": p.NAME, "type": {"type": "string", "maxLength": 64}, "properties": _PROPERTIES})
)
LIST = p.listing("name", "type", "properties")

_MEMBERS = {
    "id": p.UUID,
    "name": p.NAME,
    "type": _TYPE,
    "properties": {"type": "object", "additionalProperties": {"type": "string"}},
}
NEXT_RUNS: p.Schema = {
    "type": ["array", "null"],
    "items": {"type": "string"},
    "description": f"The next five due times; null if they are unknown. {p.TIME['description']}",
}
_DETAILED = p.shown({**_MEMBERS, "next_runs": NEXT_RUNS})
DETAIL = p.answer("trigger_info", _DETAILED)
SHOWN = p.answer("trigger_info", p.shown(_MEMBERS))
PAGE = p.page("triggers", _DETAILED)
