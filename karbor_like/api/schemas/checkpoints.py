from karbor_like.api.schemas import primitives as p
from karbor_like.domain import states

_EXTRA_INFO = {
    **p.METADATA,
    "description": "Stored with the checkpoint. Both spellings are accepted. A true skip_missing leaves out resources of the "
    "plan that do not exist.",
}

CREATE = p.wrapped(
    "checkpoint", p.closed({"plan_id": p.UUID, "extra-info": _EXTRA_INFO, "extra_info": _EXTRA_INFO}, ["plan_id"])
)
RESET = p.wrapped(
    "os-resetState",
    p.closed({"state": {"type": "string", "enum": [states.AVAILABLE, states.ERROR]}}, ["state"]),
)
_DAY = {
    "type": "string",
    "maxLength": 10,
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?![\\n])",
    "description": "UTC, inclusive.",
}
LIST = p.listing("plan_id", "status", start_date=_DAY, end_date=_DAY)

CHECKPOINT = p.shown(
    {
        "id": p.UUID,
        "project_id": {"type": "string"},
        "status": {
            "type": "string",
            "enum": [*states.CHECKPOINT.changes],
        },
        "protection_plan": p.shown(
            {"id": p.UUID, "name": {"type": "string"}, "provider_id": p.UUID, "resources": {"type": "array"}}
        ),
        "left_out": {
            "type": "array",
            "description": "The resources below those of the plan that the checkpoint does not contain, and why.",
            "items": p.shown({name: {"type": "string"} for name in ("type", "id", "name", "reason")}),
        },
        "resource_graph": {"type": "string", "description": "A JSON text: [nodes, adjacency]."},
        "created_at": {"type": "string", "description": "The date of creation, UTC."},
        "timestamp": {
            "type": "string",
            "description": "The time of creation, ISO 8601, with microseconds and a time zone.",
        },
        "extra_info": {"type": "string", "description": "The JSON text of an object."},
        **p.WORK,
    }
)
SHOWN = p.answer("checkpoint", CHECKPOINT)
PAGE = p.page("checkpoints", CHECKPOINT)
NOTHING = p.closed({})
