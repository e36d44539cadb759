from karbor_like.api.schemas import primitives as p
from karbor_like.triggers.time import TimeTrigger

#: The controller checks them against the schema of the type that the trigger has.
_PROPERTIES: p.Schema = {
    "type": "object",
    "anyOf": [TimeTrigger.schema, {"type": "object", "description": "Of another type that is installed."}],
}
_TYPE = {"type": "string", "minLength": 1, "maxLength": 64, "description": "time, or another that is installed."}

CREATE = p.wrapped(
    "trigger_info",
    p.closed({"name": p.NAME, "type": _TYPE, "properties": _PROPERTIES}, ["name", "type", "properties"]),
)
# Old clients send an empty object where they change nothing but the name.
UPDATE = p.wrapped("trigger_info", p.closed({"name": p.NAME, "type": {"type": "string"}, "properties": _PROPERTIES}))
LIST = p.listing("name", "type", "properties")

TRIGGER = p.shown(
    {
        "id": p.UUID,
        "name": p.NAME,
        "type": _TYPE,
        "properties": {"type": "object", "additionalProperties": {"type": "string"}},
    }
)
SHOWN = p.answer("trigger_info", TRIGGER)
PAGE = p.page("triggers", TRIGGER)
