"""Validation of bodies and query strings against the JSON schemas of the OpenAPI document.

A message names the path of the field and the rule, and never repeats a value that may be a secret.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema
from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.api import errors

Schema = Mapping[str, Any]

FORMATS = jsonschema.FormatChecker(formats=())

_MAX_SHOWN = 64
_MAX_FIELDS = 10


@FORMATS.checks("uuid")
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or uuidutils.is_uuid_like(value)


def validator(schema: Schema) -> jsonschema.Draft202012Validator:
    """Return a reusable validator of a schema."""
    return jsonschema.Draft202012Validator(schema, format_checker=FORMATS)


def check(checker: jsonschema.Draft202012Validator, value: Any, root: str = "") -> None:
    """Validate a value.

    :param root: prefix of the paths in messages
    :raises InvalidRequest: naming the fields that violate the schema
    """
    violations = sorted(checker.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    if violations:
        raise errors.InvalidRequest([_field(error, root) for error in violations[:_MAX_FIELDS]])


def path_text(parts: Iterable[str | int], root: str = "") -> str:
    """Return a path such as ``plan.resources[0].id``."""
    text = root
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "body"


def _field(error: jsonschema.ValidationError, root: str) -> errors.Field:
    rule = str(error.validator)
    path = path_text(error.absolute_path, root)
    limit = error.validator_value
    secret = isinstance(error.schema, Mapping) and error.schema.get("writeOnly")
    value = "the value" if secret else _shown(error.instance)
    messages = {
        "required": lambda: f"{_missing(error)} is missing",
        "additionalProperties": lambda: f"{_unknown(error)} is not known here; allowed: {_allowed(error)}",
        "type": lambda: f"{value} is not of type {limit if isinstance(limit, str) else ' or '.join(limit)}",
        "enum": lambda: f"{value} is not one of {', '.join(map(repr, limit))}",
        "const": lambda: f"{value} is not {limit!r}",
        "minLength": lambda: f"{value} is shorter than {limit}",
        "maxLength": lambda: f"is longer than {limit} characters",
        "minItems": lambda: f"has fewer than {limit} items",
        "maxItems": lambda: f"has more than {limit} items",
        "minProperties": lambda: f"needs {limit} member or more of {_allowed(error)}",
        "minimum": lambda: f"{value} is less than {limit}",
        "maximum": lambda: f"{value} is greater than {limit}",
        "pattern": lambda: f"{value} does not match {limit}",
        "format": lambda: f"{value} is not a {limit}",
    }
    message = messages[rule]() if rule in messages else f"{value} breaks the rule {rule!r}"
    return errors.Field(path, rule, message)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _missing(error: jsonschema.ValidationError) -> str:
    return ", ".join(repr(name) for name in error.validator_value if name not in error.instance)


def _unknown(error: jsonschema.ValidationError) -> str:
    known = error.schema.get("properties", {})
    return ", ".join(_shown(name) for name in error.instance if name not in known)


def _allowed(error: jsonschema.ValidationError) -> str:
    return ", ".join(error.schema.get("properties", {})) or "none"


def canonical_id(text: str) -> str:
    """Convert a UUID of any form (``urn:uuid:``, braces, 32 digits) to the form that is stored in the database."""
    return str(uuid.UUID(text))


def path_id(name: str, text: str) -> str:
    """Convert an id in a path to its canonical form.

    :raises InvalidInput: it is not a UUID
    """
    if not uuidutils.is_uuid_like(text):
        raise exception.InvalidInput(f"{name} {_shown(text)} in the path is not a UUID")
    return canonical_id(text)
