from karbor_like.api.schemas import primitives as p

_COUNT = {"type": "integer", "minimum": 0}

_THREAD = p.shown(
    {
        "name": {"type": "string", "description": "What the thread does."},
        "seconds": {"type": "integer", "description": "Time since its last progress."},
    }
)
_PROCESS = p.shown(
    {
        "name": {"type": "string"},
        "reported_at": p.TIME,
        "hung_threads": {"type": "array", "items": _THREAD},
    }
)
_SERVICE = p.shown(
    {
        "id": {"type": "integer"},
        "binary": {"type": "string"},
        "host": {"type": "string"},
        "state": {"type": "string", "enum": ["up", "down"]},
        "processes": {"type": "array", "items": _PROCESS},
    }
)
_BANK = p.shown(
    {
        "host": {"type": "string", "description": "The host whose protection service has loaded the provider."},
        "process": {"type": "string"},
        "provider_id": p.UUID,
        "provider_name": {"type": "string"},
        "bank": {"type": "string", "enum": ["reachable", "unreachable", "unknown"]},
        "reason": p.NULLABLE_TEXT,
    }
)
_QUEUE = p.shown(
    {
        "name": {"type": "string", "enum": ["operations", "scheduled_runs"]},
        "waiting": {**_COUNT, "description": "What no process works on."},
        "running": _COUNT,
        "oldest_seconds": {
            "type": ["number", "null"],
            "description": "How long the oldest of those that wait has been due.",
        },
    }
)
_SCHEMA = p.shown(
    {
        "version": p.NULLABLE_TEXT,
        "expected": {"type": "string"},
        "state": {"type": "string", "enum": ["matches", "empty", "older", "newer"]},
    }
)
SHOWN = p.answer(
    "health",
    p.shown(
        {
            "healthy": {"type": "boolean"},
            "problems": {"type": "array", "items": {"type": "string"}},
            "schema": _SCHEMA,
            "services": {"type": "array", "items": _SERVICE},
            "providers": {"type": "array", "items": _BANK},
            "queues": {"type": "array", "items": _QUEUE},
        }
    ),
)
