"""Templates: their checks before a stack is created, the order of the resources, and the functions in their properties."""

import graphlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from karbor_like.sandbox import errors
from karbor_like.sandbox.orchestration import kinds

MAX_RESOURCES = 1000
MAX_BYTES = 512 * 1024
_SECTIONS = frozenset({"heat_template_version", "description", "parameters", "resources", "outputs"})

Template = Mapping[str, Any]


def parse(given: Any, parameters: Any = None) -> dict[str, Any]:
    """Return a checked template, in which the given parameters are defaults.

    :param given: of the request: a text in JSON, or an object
    :param parameters: of the request: values by name
    :raises ApiError: 400
    """
    if isinstance(given, str):
        if len(given.encode()) > MAX_BYTES:
            raise errors.bad_request(f"Template size ({len(given.encode())} bytes) exceeds maximum allowed size.")
        try:
            given = json.loads(given)
        except ValueError as error:
            raise errors.bad_request(f"Template format error: Error parsing template: {error}") from None
    if not isinstance(given, dict) or "heat_template_version" not in given:
        raise errors.bad_request("Template format error: Template format version not found.")
    if unknown := sorted(set(given) - _SECTIONS):
        raise errors.bad_request(f'The template section is invalid: "{unknown[0]}"')
    resources = given.get("resources") or {}
    if len(resources) > MAX_RESOURCES:
        raise errors.ApiError(403, f"You have reached the maximum resources per stack, {MAX_RESOURCES}.")
    for name, resource in resources.items():
        _check(name, resource)
    ordered(given)
    return {**given, "parameters": _given(given.get("parameters") or {}, parameters or {})}


def _given(declared: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(values) - set(declared)):
        raise errors.bad_request(f"The Parameter ({unknown[0]}) was not defined in template.")
    return {name: {**each, **({"default": values[name]} if name in values else {})} for name, each in declared.items()}


def _check(name: str, resource: Any) -> None:
    if not isinstance(resource, dict) or resource.get("type") not in kinds.KINDS:
        kind = resource.get("type") if isinstance(resource, dict) else resource
        raise errors.bad_request(f"The Resource Type ({kind}) could not be found.")
    known = kinds.KINDS[resource["type"]].properties
    for given in resource.get("properties") or {}:
        if given not in known:
            raise errors.bad_request(f"Property error: : resources.{name}.properties: : Unknown Property {given}")


def ordered(template: Template) -> list[str]:
    """Return the names of the resources, each after those that it needs.

    :raises ApiError: 400 for a circle or an unknown resource
    """
    resources = template.get("resources") or {}
    needs = {name: {*_referred(each.get("properties")), *_after(each)} for name, each in resources.items()}
    for name, others in needs.items():
        if unknown := sorted(others - set(resources)):
            raise errors.bad_request(
                f'The specified reference "{unknown[0]}" (in {name}.Properties.<unknown>) is incorrect.'
            )
    try:
        return [*graphlib.TopologicalSorter(needs).static_order()]
    except graphlib.CycleError as error:
        raise errors.bad_request(f"Circular Dependency Found: {error.args[1]}") from None


def _after(resource: Mapping[str, Any]) -> list[str]:
    after = resource.get("depends_on") or []
    return [after] if isinstance(after, str) else after


def _referred(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"get_resource"}:
            yield value["get_resource"]
        else:
            yield from _referred([*value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _referred(item)


def properties(template: Template, name: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties of a resource, in which the functions are evaluated.

    :param ids: of the resources that were created before
    """
    parameters = template.get("parameters") or {}

    def value(given: Any) -> Any:
        if isinstance(given, list):
            return [value(item) for item in given]
        if not isinstance(given, dict):
            return given
        if set(given) == {"get_resource"}:
            return ids[given["get_resource"]]
        if set(given) == {"get_param"}:
            return parameters[given["get_param"]]["default"]
        return {key: value(item) for key, item in given.items()}

    found: dict[str, Any] = value(template["resources"][name].get("properties") or {})
    return found
