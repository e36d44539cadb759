from karbor_like.api.schemas import primitives as p

_LIMIT = {
    "type": ["integer", "string"],
    "minimum": -1,
    "maximum": 2147483647,
    "maxLength": 10,
    "pattern": "^(-1|[0-9]{1,9})$(?![\\n])",
    "description": "-1 means unlimited. A text of digits is accepted.",
}
_SHOWN = {"type": "integer", "minimum": -1}
_ID = {"id": {"type": "string"}}
_NAMES = ("plans", "checkpoints", "triggers", "scheduled_operations", "restores", "verifications")
_LIMITS = dict.fromkeys(_NAMES, _SHOWN)
_DETAIL = p.shown(
    {"limit": _SHOWN, "in_use": {"type": "integer", "minimum": 0}, "reserved": {"type": "integer", "enum": [0]}}
)
# Unknown names are ignored: clients of other versions send them.
_CHANGES = {"type": "object", "maxProperties": 100, "properties": dict.fromkeys(_NAMES, _LIMIT)}

UPDATE = p.wrapped("quota", _CHANGES)
SHOWN = p.answer("quota", p.shown({**_LIMITS, **_ID}))
UPDATED = p.answer("quota", p.shown(_LIMITS))
DETAIL = p.answer("quota", p.shown({**dict.fromkeys(_NAMES, _DETAIL), **_ID}))

UPDATE_CLASS = p.wrapped("quota_class", _CHANGES)
SHOWN_CLASS = p.answer("quota_class", p.shown({**_LIMITS, **_ID}))
UPDATED_CLASS = p.answer("quota_class", p.shown(_LIMITS))
