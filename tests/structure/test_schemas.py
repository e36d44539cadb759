"""Every text, array and map that a caller sends has a maximum size in its schema."""

import argparse
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from karbor_like.api.controllers import v1
from karbor_like.api.schemas import scheduled_operations
from karbor_like.triggers.time import TimeTrigger
from karbor_like_client.osc.scheduled_operations import CreateScheduledOperation

_BRANCHES = ("anyOf", "allOf", "oneOf")
_SIZE = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}
_MEMBERS = {
    "maxItems": ("items", "prefixItems", "contains", "uniqueItems"),
    "maxProperties": ("properties", "propertyNames", "patternProperties", "additionalProperties"),
}


def requests() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for route in v1.ROUTES:
        for kind, schema in (("body", route.action.body), ("query", route.action.query)):
            if schema is not None:
                yield f"{route.method} {route.path} {kind}", schema
    yield "properties of a time trigger", TimeTrigger.schema
    yield "operation_definition", scheduled_operations.DEFINITION


def parts(schema: Mapping[str, Any], path: str, bounded: bool = False) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield every schema in *schema* with its path, and whether another one bounds the same value."""
    yield path, schema, bounded
    for word in ("properties", "patternProperties"):
        for name, inner in schema.get(word, {}).items():
            yield from parts(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), Mapping):
            yield from parts(schema[word], f"{path}.{word}")
    if "propertyNames" in schema:
        yield from parts({"type": "string", **schema["propertyNames"]}, f"{path}.propertyNames")
    for word in _BRANCHES:
        for number, inner in enumerate(schema.get(word, ())):
            yield from parts(inner, f"{path}.{word}[{number}]", bounded=True)
    for word in ("then", "else"):
        if word in schema:
            yield from parts(schema[word], f"{path}.{word}", bounded=True)


def unbounded(schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema or "const" in schema:
        return
    types = schema.get("type", list(_SIZE))
    for kind in [types] if isinstance(types, str) else types:
        closed = kind == "object" and schema.get("additionalProperties") is False and "patternProperties" not in schema
        if kind in _SIZE and _SIZE[kind] not in schema and not closed:
            yield _SIZE[kind]


def misplaced(schema: Mapping[str, Any]) -> Iterator[str]:
    order = list(schema)
    for size, members in _MEMBERS.items():
        yield from (f"{size} after {m}" for m in members if size in order and m in order[: order.index(size)])


@pytest.mark.parametrize(
    ("name", "schema"), list(requests()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_size_is_bounded(name, schema):
    # The parameters of a query string are chosen by name: others are dropped unread.
    top = [schema] if name.endswith(" query") else []
    found = {
        f"{path}: {problem}"
        for path, part, bounded in parts(schema, name)
        for problem in (*(() if bounded or part in top else unbounded(part)), *misplaced(part))
    }
    assert found == set()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": ["integer", "string"], "pattern": "^[0-9]$"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"description": "anything"},
        {"type": "object", "maxProperties": 5, "propertyNames": {"pattern": "a"}},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 5},
    ],
)
def test_an_unbounded_schema_is_found(schema):
    assert any([*unbounded(part), *misplaced(part)] for _, part, _ in parts(schema, ""))


def test_the_command_names_the_members_of_a_definition_as_the_schema_does():
    parser = argparse.ArgumentParser()
    CreateScheduledOperation.add_arguments(None, parser)
    (text,) = [action.help for action in parser._actions if action.dest == "operation_definition"]
    assert text is not None
    assert set(re.findall("[a-z]+ly|[a-z]+_[a-z]+", text)) - {"retention_protect"} == set(
        scheduled_operations.DEFINITION["properties"]
    )
