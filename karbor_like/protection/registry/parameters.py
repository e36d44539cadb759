"""Parameters of plans, restores, verifications and copies: the options of resources, by ``Type`` or ``Type#id``."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import jsonschema
from oslo_utils import uuidutils

from karbor_like import exception, foreign
from karbor_like.domain import coercion
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import MAP_TO

Parameters = Mapping[str, Mapping[str, Any]]
Schemas = Mapping[str, Mapping[str, Any]]
#: Resource type -> what decides whether a text can be the id of a resource.
Ids = Mapping[str, Callable[[str], bool]]

#: Key of the options of a restore for all types that take them.
EVERYTHING: Final = "*"

#: Errors that a message lists.
_MAX_ERRORS = 10


def effective(parameters: Parameters, of: Resource) -> dict[str, Any]:
    """Return the options of a resource: those of its type, overridden by its own.

    :param parameters: as :func:`check` returned them
    """
    return {**parameters.get(of.type, {}), **parameters.get(of.key, {})}


def mapping(parameters: Parameters) -> dict[str, str]:
    """Return the ids of existing resources that a restore request names for ``Type#id``, by that key."""
    return {key: options[MAP_TO] for key, options in parameters.items() if "#" in key and options.get(MAP_TO)}


def spread(parameters: Parameters, schemas: Schemas, *, root: str) -> Parameters:
    """Replace the options for everything, under :data:`EVERYTHING`, by options of every type whose schema has them.

    Options that a type or a resource has itself are left as they are.

    :param schemas: JSON schemas of the options, by resource type
    :param root: path of *parameters* in the request, for messages
    :raises UnknownParameter: no type has such an option
    """
    if EVERYTHING not in parameters:
        return parameters
    found = {key: options for key, options in parameters.items() if key != EVERYTHING}
    for name, value in parameters[EVERYTHING].items():
        types = [kind for kind, schema in schemas.items() if name in (schema.get("properties") or {})]
        if not types:
            raise exception.UnknownParameter(f"{root}.{EVERYTHING}.{name}: no type of the provider has this option")
        for kind in types:
            found[kind] = {name: value, **found.get(kind, {})}
    return found


def check(
    parameters: Parameters, schemas: Schemas, types: Ids, *, root: str, strict: bool
) -> dict[str, dict[str, Any]]:
    """Check parameters against the schemas that plugins publish, and normalize them.

    Null and the empty text mean that an option is absent: dashboards send every option that has a default. Absent options
    are removed. Texts are converted to the types that the schemas ask for. Required options are left to the plugins to
    check, because old clients omit them.

    :param schemas: JSON schemas of the options, by resource type
    :param types: resource types that parameters may name in addition to those with a schema. Ids of other types are UUIDs
    :param root: path of *parameters* in the request, for messages
    :param strict: whether to refuse options for a type without a schema; if not, they are accepted unchecked
    :raises InvalidInput: for the first key that breaks a rule
    """
    return {
        key: _check_key(key, options, schemas, types, f"{root}.{key}", strict) for key, options in parameters.items()
    }


def _check_key(
    key: str, options: Mapping[str, Any], schemas: Schemas, known: Ids, path: str, strict: bool
) -> dict[str, Any]:
    resource_type, separator, resource_id = key.partition("#")
    if resource_type not in schemas and resource_type not in known:
        raise exception.UnknownResourceType(f"{path}: {resource_type!r} is not one of {', '.join(sorted(known))}")
    if separator:
        with foreign.refused(path):
            is_id = known.get(resource_type, uuidutils.is_uuid_like)(resource_id)
        if not is_id:
            raise exception.InvalidInput(
                f"{path}: {resource_id!r} after # is not an id of {resource_type}; use one from the list of instances"
            )
    given = {name: value for name, value in options.items() if value not in (None, "")}
    schema = schemas.get(resource_type)
    if schema is None:
        if strict and given:
            raise exception.UnknownParameter(f"{path}: the provider takes no options for {resource_type}")
        return given
    return _check_options(given, resource_type, schema.get("properties") or {}, path)


def _check_options(
    given: Mapping[str, Any], resource_type: str, properties: Mapping[str, Any], path: str
) -> dict[str, Any]:
    for name in given:
        if name not in properties:
            allowed = ", ".join(properties) or "none"
            raise exception.UnknownParameter(f"{path}.{name}: is not an option of {resource_type}; allowed: {allowed}")
    options = {name: coercion.coerce(value, properties[name]) for name, value in given.items()}
    found = jsonschema.Draft202012Validator({"properties": properties}).iter_errors(options)
    errors = list(itertools.islice(found, _MAX_ERRORS))
    if errors:
        lines = (f"{path}.{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors)
        raise exception.InvalidInput("; ".join(lines))
    return options
