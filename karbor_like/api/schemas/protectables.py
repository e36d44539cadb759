from karbor_like.api.schemas import primitives as p

_EXTRA = {"type": ["object", "string", "null"]}
_DEPENDENT = {"type": {"type": "string"}, "id": {"type": "string"}, "name": p.NULLABLE_TEXT, "extra_info": _EXTRA}

_PARAMETERS = {
    **p.TEXT,
    "description": "Parameters for the plugin: a JSON object, or the text of a Python dictionary.",
}
SHOW_INSTANCE = {"type": "object", "properties": {"parameters": _PARAMETERS}}
_PROTECTED = {
    "type": "string",
    "maxLength": 16,
    "description": "true or false: only resources that are protected, or are not. all: all of them. With any of these, the "
    "resources have the members protected and last_checkpoint, and the answer has counts.",
}
LIST_INSTANCES = p.listing("status", parameters=_PARAMETERS, protected=_PROTECTED)

TYPES = p.answer("protectable_type", {"type": "array", "items": {"type": "string"}})
TYPE = p.answer(
    "protectable_type",
    p.shown({"name": {"type": "string"}, "dependent_types": {"type": "array", "items": {"type": "string"}}}),
)

INSTANCE = p.shown({**_DEPENDENT, "dependent_resources": {"type": "array", "items": p.shown(_DEPENDENT)}})
_LAST_CHECKPOINT = {
    **p.shown({"id": p.UUID, "provider_id": p.UUID, "plan_id": p.UUID, "created_at": p.TIME}),
    "type": ["object", "null"],
    "description": "The newest checkpoint that protects the resource.",
}
_LISTED = {
    **INSTANCE,
    "properties": {
        **INSTANCE["properties"],
        "protected": {"type": "boolean", "description": "Whether there is a last_checkpoint."},
        "last_checkpoint": _LAST_CHECKPOINT,
    },
}
_COUNT = {"type": "integer", "minimum": 0}
_COUNTS = {**p.shown({"protected": _COUNT, "unprotected": _COUNT}), "description": "Of all resources of the type."}
SHOWN = p.answer("instance", INSTANCE)
_PAGE = p.page("instances", _LISTED)
PAGE = {**_PAGE, "properties": {**_PAGE["properties"], "counts": _COUNTS}}
