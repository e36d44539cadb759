from karbor_like.api.schemas import primitives as p

_STATUS = {"type": "string", "enum": ["enabled", "disabled"]}

LIST = {"type": "object", "properties": {"host": p.TEXT, "binary": p.TEXT}}
# Clients send it without a wrapping member.
UPDATE = p.closed({"status": _STATUS, "disabled_reason": p.DESCRIPTION}, ["status"])

SERVICE = p.shown(
    {
        "id": {"type": "integer"},
        "binary": {"type": "string"},
        "host": {"type": "string"},
        "status": _STATUS,
        "state": {"type": "string", "enum": ["up", "down"]},
        "state_reason": p.NULLABLE_TEXT,
        "updated_at": p.TIME,
        "disabled_reason": p.NULLABLE_TEXT,
    }
)
SHOWN = p.answer("service", SERVICE)
ALL = p.answer("services", {"type": "array", "items": SERVICE})
