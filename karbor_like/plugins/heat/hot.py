"""The template of a restore as a Heat Orchestration Template. Pure functions.

https://docs.openstack.org/heat/latest/template_guide/hot_spec.html
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain.template import Reference
from karbor_like.plugins.deployable import Deployable

VERSION: Final = "2018-08-31"

#: Heat's defaults of ``max_resources_per_stack`` and ``max_template_size``.
MAX_RESOURCES: Final = 1000
MAX_BYTES: Final = 512 * 1024

#: The parameter with the description by which the objects of a stack are found, also those that Heat forgot.
MARK: Final = "karbor_like_mark"

#: The property with what only the creation of resources one by one can set.
DIRECT: Final = "direct"

#: Heat takes a mapping whose only key is one of these for a call of a function.
_FUNCTIONS: Final = frozenset(
    {
        "Fn::Base64",
        "Fn::GetAZs",
        "Fn::Join",
        "Fn::MemberListToMap",
        "Fn::Replace",
        "Fn::ResourceFacade",
        "Fn::Select",
        "Fn::Split",
        "Ref",
        "contains",
        "digest",
        "filter",
        "get_attr",
        "get_file",
        "get_param",
        "get_resource",
        "if",
        "list_concat",
        "list_concat_unique",
        "list_join",
        "make_url",
        "map_merge",
        "map_replace",
        "repeat",
        "resource_facade",
        "str_replace",
        "str_replace_strict",
        "str_replace_vstrict",
        "str_split",
        "yaql",
    }
)

Resolved = Mapping[str, Mapping[str, Any]]
Types = Mapping[str, type[Deployable]]


def obstacle(resolved: Resolved, types: Types) -> str | None:
    """Return what Heat would not restore of a resolved template, or None if it restores everything.

    :param types: type in the template -> what finds its objects
    """
    for name, description in resolved.items():
        if description["properties"].get(DIRECT):
            return f"{name} has properties that Heat does not know: {', '.join(description['properties'][DIRECT])}"
        if not description["type"].startswith("OS::"):
            return f"{name} has a type that Heat does not know: {description['type']}"
    try:
        document(resolved, types)
    except exception.Conflict as error:
        return error.message
    return None


def document(resolved: Resolved, types: Types) -> str:
    """Return a template for Heat, as JSON. Objects that can have a mark get the parameter :data:`MARK` as description.

    :param resolved: descriptions by name, as :meth:`karbor_like.domain.template.Template.resolve` returned them
    :param types: type in the template -> what finds its objects

    Raises Conflict if Heat would refuse it because of its size.
    """
    literals: dict[str, Any] = {}
    resources = {name: _resource(description, types, literals) for name, description in resolved.items()}
    if len(resources) > MAX_RESOURCES:
        raise exception.Conflict(
            f"the restore creates {len(resources)} resources; a stack of Heat has at most {MAX_RESOURCES}"
        )
    parameters = {name: {"type": "json", "default": value} for name, value in literals.items()}
    parameters[MARK] = {"type": "string", "default": ""}
    body = {"heat_template_version": VERSION, "parameters": parameters, "resources": resources}
    text = json.dumps(body, separators=(",", ":"))
    if len(text) > MAX_BYTES:
        raise exception.Conflict(f"the template of the restore has {len(text)} bytes; Heat takes at most {MAX_BYTES}")
    return text


def _resource(description: Mapping[str, Any], types: Types, literals: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _value(value, literals) for name, value in description["properties"].items() if name != DIRECT}
    properties = types[description["type"]].described(properties, {"get_param": MARK})
    after = {"depends_on": [*description["depends_on"]]} if description.get("depends_on") else {}
    return {"type": description["type"], "properties": properties, **after}


def _value(value: Any, literals: dict[str, Any]) -> Any:
    """Return a value that Heat evaluates to *value*: metadata of a server may look like a call of a function."""
    if isinstance(value, list | tuple):
        return [_value(item, literals) for item in value]
    if isinstance(value, Reference) or not isinstance(value, Mapping):
        return value
    if len(value) == 1 and _FUNCTIONS.intersection(value):
        name = f"literal_{len(literals)}"
        literals[name] = dict(value)
        return {"get_param": name}
    return {key: _value(item, literals) for key, item in value.items()}
