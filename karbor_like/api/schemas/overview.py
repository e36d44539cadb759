from collections.abc import Mapping

from karbor_like.api.schemas import operation_logs
from karbor_like.api.schemas import primitives as p
from karbor_like.domain.operation import OperationType

_COUNT = {"type": "integer", "minimum": 0}
_BY_STATUS = {
    "type": "object",
    "additionalProperties": _COUNT,
    "description": "By status; a status that nothing has may be absent.",
}
_COUNTED: Mapping[str, p.Schema] = {"total": _COUNT, "by_status": _BY_STATUS}
_DAYS = {"type": "integer", "description": "Of how many last days."}
_SIZES: Mapping[str, p.Schema] = dict.fromkeys(("logical_bytes", "new_bytes", "stored_bytes"), _COUNT)

_RATE = p.shown(
    {
        "days": _DAYS,
        "operation_type": {"type": "string", "enum": [kind.value for kind in OperationType]},
        "ended": {**_COUNT, "description": "Of the operations that were requested in these days."},
        "succeeded": _COUNT,
        "failed": {**_COUNT, "description": "Without those that were cancelled."},
        "cancelled": _COUNT,
        "rate": {
            "type": ["number", "null"],
            "description": "succeeded / (succeeded + failed); null if there are none.",
        },
    }
)
_RUNS = p.shown(
    {
        "days": _DAYS,
        "succeeded": _COUNT,
        "failed": _COUNT,
        "missed": {**_COUNT, "description": "Not started within their windows."},
        "skipped": {**_COUNT, "description": "The run before had not ended."},
    }
)
_POINT = p.shown(
    {
        "date": {"type": "string", "format": "date", "description": "UTC."},
        "checkpoints": {**_COUNT, "description": "At the end of the day, as are the sizes."},
        **_SIZES,
    }
)
_NEXT_RUN = p.shown(
    {
        "time": p.TIME,
        "scheduled_operation_id": p.UUID,
        "name": p.NAME,
        "operation_type": {"type": "string"},
        "plan_id": p.UUID,
        "trigger_id": p.UUID,
    }
)


def _some(items: p.Schema, most: int, description: str) -> p.Schema:
    return {"type": "array", "maxItems": most, "items": items, "description": description}


#: Entries of the lists of operations and runs, days of the success rates, and days of the growth.
SHOWN_ENTRIES = 5
WINDOWS = (7, 30)
GROWTH_DAYS = 30

SHOWN = p.answer(
    "overview",
    p.shown(
        {
            "plans": p.shown({**_COUNTED, "rpo_violated": _COUNT}),
            "checkpoints": p.shown(_COUNTED),
            "restores": p.shown(_COUNTED),
            "verifications": p.shown(_COUNTED),
            "scheduled_operations": p.shown(_COUNTED),
            "operations": p.shown(
                {
                    "queued": _COUNT,
                    "running": _COUNT,
                    "newest": _some(
                        operation_logs.OPERATION_LOG,
                        SHOWN_ENTRIES,
                        "Of those that are queued or running, newest first.",
                    ),
                }
            ),
            "success_rates": _some(
                _RATE, len(WINDOWS) * len(OperationType), "Per number of days and type of operation."
            ),
            "scheduled_runs": _some(_RUNS, len(WINDOWS), "How the runs of schedules ended."),
            "storage": {**p.shown(_SIZES), "description": "Sums over the checkpoints, in bytes."},
            "growth": _some(_POINT, GROWTH_DAYS + 1, "Per day, oldest first; the last one is today, until now."),
            "next_runs": _some(_NEXT_RUN, SHOWN_ENTRIES, "Of all enabled schedules, in order of time."),
            "last_failures": _some(
                operation_logs.OPERATION_LOG,
                SHOWN_ENTRIES,
                f"Failed operations and runs of the last {max(WINDOWS)} days, newest first.",
            ),
        }
    ),
)
