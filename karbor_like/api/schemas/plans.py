from karbor_like.api.schemas import primitives as p
from karbor_like.domain import states

_STATUS = {"type": "string", "enum": [states.SUSPENDED, states.STARTED]}

CREATE = p.wrapped(
    "plan",
    p.closed(
        {
            "name": p.NAME,
            "description": p.DESCRIPTION,
            "provider_id": p.UUID,
            "resources": p.RESOURCES,
            "parameters": p.PARAMETERS,
        },
        ["name", "provider_id", "resources", "parameters"],
    ),
)
UPDATE = p.wrapped(
    "plan",
    p.closed(
        {"name": p.NAME, "description": p.DESCRIPTION, "status": _STATUS, "resources": p.RESOURCES}, minProperties=1
    ),
)
LIST = p.listing("name", "status", "description", "provider_id")

PLAN = p.shown(
    {
        "id": p.UUID,
        "name": p.NAME,
        "description": p.NULLABLE_TEXT,
        "resources": {"type": "array", "items": p.RESOURCE},
        "provider_id": p.UUID,
        "status": _STATUS,
        "parameters": p.PARAMETERS,
        "last_checkpoint_at": {**p.TIME, "description": f"Of the newest available checkpoint. {p.TIME['description']}"},
        "rpo_violated": {
            "type": "boolean",
            "description": "Whether the last available checkpoint is too old for the schedules of the plan.",
        },
    }
)
SHOWN = p.answer("plan", PLAN)
PAGE = p.page("plans", PLAN)
