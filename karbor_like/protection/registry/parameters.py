"""What a tenant says about resources in a plan, restore or verification: checked, and made into a resource's own options."""

from collections.abc import Mapping
from typing import Any

import jsonschema

from karbor_like import exception
from karbor_like.domain.resource import Resource

Parameters = Mapping[str, Mapping[str, Any]]


def effective(parameters: Parameters, resource: Resource) -> dict[str, Any]:
    """The options of *resource*: those of its type overlaid with its own, key by key; nulls are options not given."""
    merged = {**(parameters.get(resource.type) or {}), **(parameters.get(resource.key) or {})}
    return {name: value for name, value in merged.items() if value is not None}


def check(parameters: Parameters, schemas: Mapping[str, Mapping[str, Any]], what: str) -> None:
    """Raises InvalidInput, saying which key of *parameters* breaks which rule.

    :param schemas: by resource type
    :param what: such as ``restore``; for messages

    A null, or an empty text where the schema wants something else, is an option not given: clients send all they know of.
    """
    for key, options in parameters.items():
        resource_type = key.partition("#")[0]
        given = {name: value for name, value in (options or {}).items() if value not in (None, "")}
        schema = schemas.get(resource_type)
        if schema is None:
            if given:
                known = ", ".join(sorted(schemas)) or "none"
                raise exception.InvalidInput(
                    f"parameters[{key!r}]: the provider takes no {what} parameters for {resource_type}, only for {known}"
                )
            continue
        _check_options(key, given, schema.get("properties", {}), what)


def _check_options(key: str, given: Mapping[str, Any], properties: Mapping[str, Any], what: str) -> None:
    for name, value in given.items():
        if name not in properties:
            known = ", ".join(sorted(properties)) or "none"
            raise exception.InvalidInput(f"parameters[{key!r}]: there is no {what} parameter {name!r}; known: {known}")
        try:
            jsonschema.validate(value, properties[name])
        except jsonschema.ValidationError as error:
            raise exception.InvalidInput(f"parameters[{key!r}][{name!r}]: {error.message}") from None
