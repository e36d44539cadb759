"""What a tenant says about resources, held against the schemas that the provider's plugins publish."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from oslo_utils import uuidutils

from karbor_like.api import errors, validation

Options = dict[str, dict[str, Any]]


def checked(
    parameters: Mapping[str, Mapping[str, Any]],
    schemas: Mapping[str, Any],
    *,
    root: str,
    strict: bool,
    installed: Callable[[], Collection[str]],
) -> Options:
    """*parameters* (by ``Type`` or ``Type#id``) without what is null or empty, texts made what the schema wants.

    :param schemas: JSON schema of the options by resource type
    :param root: the path of *parameters* in the request, for messages
    :param strict: whether a type for which there is no schema is refused (else it is kept unchecked)
    :param installed: returns the resource types that the protection service can list; called for types without a schema
    Raises InvalidRequest naming each key and why.
    """
    return {key: _one(key, values, schemas, f"{root}.{key}", strict, installed) for key, values in parameters.items()}


def _one(
    key: str,
    values: Mapping[str, Any],
    schemas: Mapping[str, Any],
    path: str,
    strict: bool,
    installed: Callable[[], Collection[str]],
) -> dict[str, Any]:
    kind, sharp, resource_id = key.partition("#")
    if sharp and not uuidutils.is_uuid_like(resource_id):
        raise _invalid(path, "format", f"{resource_id!r} after # is not a UUID")
    if kind not in schemas and kind not in (known := installed()):
        raise _invalid(path, "enum", f"{kind!r} is not one of {', '.join(known)}")
    # Dashboards fill every option that has a default, with null or an empty text where the user said nothing.
    given = {name: value for name, value in values.items() if value not in (None, "")}
    schema = schemas.get(kind)
    if schema is None:
        if strict and given:
            raise errors.UnknownParameter([errors.Field(path, "enum", f"the provider takes no options for {kind}")])
        return given
    properties = schema.get("properties") or {}
    unknown = [name for name in given if name not in properties]
    if unknown:
        allowed = ", ".join(properties) or "none"
        problem = f"is not an option of {kind}; allowed: {allowed}"
        raise errors.UnknownParameter([errors.Field(f"{path}.{unknown[0]}", "additionalProperties", problem)])
    typed = {name: validation.typed(value, properties[name]) for name, value in given.items()}
    # What a plugin requires it finds out itself: old clients rely on leaving such options out.
    validation.check(validation.validator({"type": "object", "properties": properties}), typed, path)
    return typed


def _invalid(path: str, rule: str, message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest([errors.Field(path, rule, message)])
