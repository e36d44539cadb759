from karbor_like.api.schemas import primitives as p

CREATE = p.wrapped(
    "copy",
    p.closed(
        {
            "plan_id": p.UUID,
            "parameters": p.PARAMETERS,
            "target_provider_id": {**p.UUID, "description": "If absent: copy_to in the file of the provider."},
            "checkpoint_ids": {
                "type": "array",
                "minItems": 1,
                "maxItems": p.MAX_ITEMS,
                "items": p.UUID,
                "description": "If absent: every available checkpoint that was not copied there before.",
            },
        },
        ["plan_id"],
    ),
)

COPY = p.shown(
    {
        "project_id": {"type": "string"},
        "provider_id": p.UUID,
        "target_provider_id": p.UUID,
        "plan_id": p.UUID,
        "checkpoint_id": {
            "type": "array",
            "items": p.shown({"checkpoint_protect_id": p.UUID, "checkpoint_copy_id": p.UUID}),
        },
        "parameters": p.PARAMETERS,
    }
)
SHOWN = p.answer("copy", COPY)
