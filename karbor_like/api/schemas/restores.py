from karbor_like.api.schemas import primitives as p
from karbor_like.domain import states

_AUTH = {
    "type": ["object", "null"],
    "writeOnly": True,
    **{name: p.VALUES[name] for name in ("maxProperties", "propertyNames")},
    "additionalProperties": {**p.VALUES["additionalProperties"], "writeOnly": True},
    "description": "The credential for the target. It is encrypted on the message bus and never shown.",
}

CREATE = p.wrapped(
    "restore",
    p.closed(
        {
            "provider_id": p.UUID,
            "checkpoint_id": p.UUID,
            "parameters": p.PARAMETERS,
            "restore_target": {"type": ["string", "null"], "maxLength": 255, "description": "A Keystone URL."},
            "restore_auth": _AUTH,
        },
        ["provider_id", "checkpoint_id", "parameters"],
    ),
)
LIST = p.listing("status", "provider_id", "checkpoint_id")

STATUS = {"type": "string", "enum": [states.IN_PROGRESS, states.SUCCESS, states.FAIL]}
WORDS = {"type": "object", "description": "By resource, as Type#id.", "additionalProperties": {"type": "string"}}

RESTORE = p.shown(
    {
        "id": p.UUID,
        "project_id": {"type": "string"},
        "provider_id": p.UUID,
        "checkpoint_id": p.UUID,
        "restore_target": p.NULLABLE_TEXT,
        "parameters": p.PARAMETERS,
        "status": STATUS,
        "resources_status": WORDS,
        "resources_reason": WORDS,
        **p.WORK,
    }
)
SHOWN = p.answer("restore", RESTORE)
PAGE = p.page("restores", RESTORE)
