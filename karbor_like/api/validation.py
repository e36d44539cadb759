"""Validation of bodies and query strings against the JSON schemas of the OpenAPI document.

A message names the path of the field and the rule, and never repeats a value that may be a secret. Validation stops at the
tenth error, and at the first object or array that is too large.
"""

import itertools
import re
import reprlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema
from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.api import errors

Schema = Mapping[str, Any]

FORMATS = jsonschema.FormatChecker(formats=())

_MAX_SHOWN = 64
_MAX_FIELDS = 10
_SIZES = ("maxItems", "maxProperties")


@FORMATS.checks("uuid")
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or uuidutils.is_uuid_like(value)


#: Keywords that :func:`_matches` knows, and annotations.
_SIMPLE = frozenset(("type", "minLength", "maxLength", "pattern", "description", "writeOnly"))
#: Keywords that say nothing about other values than objects.
_OF_OBJECTS = frozenset(("maxProperties", "propertyNames", "additionalProperties"))

_SCALAR = _SIMPLE | _OF_OBJECTS


def _matches(checker: Any, value: Any, schema: Any) -> bool:
    """Return whether a value certainly matches a simple schema.

    A validator takes ten times as long for this, because it creates another one for each part of a schema.
    """
    if not isinstance(schema, Mapping) or not schema.keys() <= (_SIMPLE if isinstance(value, dict) else _SCALAR):
        return False
    types = schema.get("type", ())
    if types and not any(checker.is_type(value, kind) for kind in ((types,) if isinstance(types, str) else types)):
        return False
    if not isinstance(value, str):
        return True
    fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    return fits and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)


def _properties(checker: Any, properties: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if checker.is_type(instance, "object"):
        for name, part in properties.items():
            if name in instance and not _matches(checker, instance[name], part):
                yield from checker.descend(instance[name], part, path=name, schema_path=name)


def _property_names(checker: Any, part: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if checker.is_type(instance, "object"):
        for name in instance:
            if not _matches(checker, name, part):
                yield from checker.descend(instance=name, schema=part)


def _additional_properties(checker: Any, part: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if checker.is_type(instance, "object") and isinstance(part, Mapping) and "patternProperties" not in schema:
        known = schema.get("properties", {})
        for name, value in instance.items():
            if name not in known and not _matches(checker, value, part):
                yield from checker.descend(value, part, path=name)
    else:
        original = jsonschema.Draft202012Validator.VALIDATORS["additionalProperties"]
        yield from original(checker, part, instance, schema) or ()


def _is_integer(checker: object, value: object) -> bool:
    """Return whether a value is an integer. JSON Schema regards 3.0 as one, but what is stored and shown would be "3.0"."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {
        "properties": _properties,
        "propertyNames": _property_names,
        "additionalProperties": _additional_properties,
    },
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def validator(schema: Schema) -> jsonschema.protocols.Validator:
    """Return a reusable validator of a schema."""
    return _Validator(schema, format_checker=FORMATS)


def check(checker: jsonschema.protocols.Validator, value: Any, root: str = "") -> None:
    """Validate a value.

    :param root: prefix of the paths in messages
    :raises InvalidRequest: naming the fields that violate the schema
    """
    found = list(_first(checker.iter_errors(value)))
    if found:
        found.sort(key=lambda error: [str(part) for part in error.absolute_path])
        raise errors.InvalidRequest(list(dict.fromkeys(_field(error, root) for error in found)))


def _first(found: Iterator[jsonschema.ValidationError]) -> Iterator[jsonschema.ValidationError]:
    """Yield the errors that a message names. The validator looks for the next one only when it is requested."""
    for error in itertools.islice(found, _MAX_FIELDS):
        yield error
        if error.validator in _SIZES:
            # Schemas list these keywords before those for the members, which are not visited then.
            return


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
        "maxProperties": lambda: f"has more than {limit} members",
        "minProperties": lambda: f"needs {limit} member or more of {_allowed(error)}",
        "minimum": lambda: f"{value} is less than {limit}",
        "maximum": lambda: f"{value} is greater than {limit}",
        "pattern": lambda: f"{value} does not match {limit}",
        "format": lambda: f"{value} is not a {limit}",
    }
    message = messages[rule]() if rule in messages else f"{value} breaks the rule {rule!r}"
    return errors.Field(path, rule, message)


def _shown(value: Any) -> str:
    text = repr(value[: _MAX_SHOWN + 1]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _missing(error: jsonschema.ValidationError) -> str:
    return ", ".join(repr(name) for name in error.validator_value if name not in error.instance)


def _unknown(error: jsonschema.ValidationError) -> str:
    known = error.schema.get("properties", {})
    names = [_shown(name) for name in itertools.islice((n for n in error.instance if n not in known), _MAX_FIELDS + 1)]
    return ", ".join(names[:_MAX_FIELDS]) + (", ..." if len(names) > _MAX_FIELDS else "")


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
