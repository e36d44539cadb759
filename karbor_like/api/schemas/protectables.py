from karbor_like.api.schemas import primitives as p

_EXTRA = {"type": ["object", "string", "null"]}
_DEPENDENT = {"type": {"type": "string"}, "id": {"type": "string"}, "name": p.NULLABLE_TEXT, "extra_info": _EXTRA}

_PARAMETERS = {
    **p.TEXT,
    "description": "Parameters for the plugin: a JSON object, or the text of a Python dictionary.",
}
SHOW_INSTANCE = {"type": "object", "properties": {"parameters": _PARAMETERS}}
LIST_INSTANCES = p.listing("status", parameters=_PARAMETERS)

TYPES = p.answer("protectable_type", {"type": "array", "items": {"type": "string"}})
TYPE = p.answer(
    "protectable_type",
    p.shown({"name": {"type": "string"}, "dependent_types": {"type": "array", "items": {"type": "string"}}}),
)

INSTANCE = p.shown({**_DEPENDENT, "dependent_resources": {"type": "array", "items": p.shown(_DEPENDENT)}})
SHOWN = p.answer("instance", INSTANCE)
PAGE = p.page("instances", INSTANCE)
