from karbor_like.api.schemas import primitives as p
from karbor_like.domain import states

LIST = p.listing(
    "checkpoint_id",
    "plan_id",
    "restore_id",
    "status",
    "provider_id",
    "operation_type",
    "scheduled_operation_id",
)

OPERATION_LOG = p.shown(
    {
        "id": p.UUID,
        "operation_type": {"type": "string", "enum": [kind.value for kind in states.OPERATION]},
        "checkpoint_id": p.NULLABLE_UUID,
        "plan_id": p.NULLABLE_UUID,
        "provider_id": p.UUID,
        "restore_id": p.NULLABLE_UUID,
        "verification_id": p.NULLABLE_UUID,
        "source_checkpoint_id": p.NULLABLE_UUID,
        "scheduled_operation_id": p.NULLABLE_UUID,
        "status": {"type": "string"},
        "started_at": p.TIME,
        "ended_at": p.TIME,
        "error_info": p.NULLABLE_TEXT,
        "extra_info": p.NULLABLE_TEXT,
    }
)
SHOWN = p.answer("operation_log", OPERATION_LOG)
PAGE = p.page("operation_logs", OPERATION_LOG)
