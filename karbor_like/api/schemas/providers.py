from karbor_like.api.schemas import primitives as p

_SCHEMAS = {"type": "object", "description": "By resource type.", "additionalProperties": {"type": "object"}}

LIST = p.listing("id", "name", "description")

PROVIDER = p.shown(
    {
        "id": p.UUID,
        "name": {"type": "string"},
        "description": p.NULLABLE_TEXT,
        "extended_info_schema": p.shown(
            dict.fromkeys(("options_schema", "restore_schema", "saved_info_schema", "verify_schema"), _SCHEMAS)
        ),
    }
)
SHOWN = p.answer("provider", PROVIDER)
PAGE = p.page("providers", PROVIDER)
