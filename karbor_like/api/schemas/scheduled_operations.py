from collections.abc import Mapping

from karbor_like.api.schemas import primitives as p
from karbor_like.api.schemas import triggers
from karbor_like.domain import retention

_TYPE = {"type": "string", "enum": ["protect", "retention_protect"]}
_COUNT = {
    "type": ["integer", "string"],
    "maximum": 999_999_999,
    "maxLength": 10,
    "pattern": "^-?[0-9]{1,9}$(?![\\n])",
}
_KEPT = {
    "max_backups": "The maximum number of available checkpoints of the plan.",
    "retention_duration": f"How many days to keep checkpoints; at most {retention.MAX_DURATION}.",
    **{name: f"The number of periods ({name}) of which the newest checkpoint is kept." for name in retention.PERIODS},
}

DEFINITION = {
    "type": "object",
    "properties": {
        "provider_id": p.UUID,
        "plan_id": p.UUID,
        **{name: {**_COUNT, "description": text} for name, text in _KEPT.items()},
    },
    "required": ["provider_id", "plan_id"],
    # A rule that is misspelt, or unknown to this version, would never delete anything. The rules are also accepted for a
    # protect, which ignores them, because old clients send them.
    "additionalProperties": False,
}
CREATE = p.wrapped(
    "scheduled_operation",
    p.closed(
        {
            "name": p.NAME,
            "description": p.DESCRIPTION,
            "operation_type": _TYPE,
            "trigger_id": p.UUID,
            "operation_definition": {
                "type": ["object", "string"],
                "maxLength": 1024,
                "maxProperties": 100,
                "description": "An object. The text k=v,k=v is also accepted.",
                "allOf": [{"if": {"type": "object"}, "then": DEFINITION}],
            },
        },
        ["name", "operation_type", "trigger_id", "operation_definition"],
    ),
)
UPDATE = p.wrapped("scheduled_operation", p.closed({"enabled": {"type": "boolean"}}, ["enabled"]))
LIST = p.listing("name", "operation_type", "trigger_id", "operation_definition")

RUN = p.wrapped("run", p.closed({}))

_MEMBERS: Mapping[str, p.Schema] = {
    "id": p.UUID,
    "name": p.NAME,
    "description": p.NULLABLE_TEXT,
    "operation_type": _TYPE,
    "trigger_id": p.UUID,
    "operation_definition": {"type": "object", "additionalProperties": {"type": "string"}},
    "enabled": {"type": "boolean"},
    "disabled_reason": {**p.NULLABLE_TEXT, "description": "Why the operation engine disabled it."},
}
_NEXT_RUNS = {
    **triggers.NEXT_RUNS,
    "description": f"{triggers.NEXT_RUNS['description']} There are none while it is disabled.",
}
_DETAILED = p.shown({**_MEMBERS, "next_runs": _NEXT_RUNS})
_DECISION = p.shown(
    {
        "id": p.UUID,
        "timestamp": {"type": "string", "description": "The time of creation, ISO 8601, UTC."},
        "delete": {"type": "boolean"},
        "reason": {"type": "string"},
    }
)
RETENTION = p.answer(
    "retention",
    p.shown(
        {
            "rules": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
            "checkpoints": {
                "type": "array",
                "description": "The available checkpoints of the plan, newest first.",
                "items": _DECISION,
            },
        }
    ),
)
_RUN = p.shown(
    {
        "id": p.UUID,
        "scheduled_operation_id": p.UUID,
        "status": {"type": "string", "enum": ["started", "succeeded", "failed", "missed", "skipped"]},
        "reason": {**p.NULLABLE_TEXT, "description": "Why it did not succeed, or is retried."},
        "due_at": p.TIME,
        "checkpoint_id": {
            **p.NULLABLE_UUID,
            "description": "Null until an operation engine has started the checkpoint.",
        },
    }
)
SHOWN = p.answer("scheduled_operation", p.shown(_MEMBERS))
DETAIL = p.answer("scheduled_operation", _DETAILED)
PAGE = p.page("operations", _DETAILED)
STARTED = p.answer("run", _RUN)
