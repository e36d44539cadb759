"""``.. api-reference::`` describes the REST API, from the OpenAPI document that the service itself makes.

It also writes the document itself to ``_static/openapi.json``, to be linked to.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

from karbor_like.api import openapi

Json = Mapping[str, Any]


def _operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _title(text: str, underline: str) -> list[str]:
    return [text, underline * len(text), ""]


def _reference() -> Iterator[str]:
    for tag, group in groupby(_operations(), key=lambda found: found[2]["tags"][0]):
        yield from _title(tag.replace("_", " ").capitalize(), "=")
        for method, path, operation in group:
            yield from _title(operation["summary"].rstrip("."), "-")
            yield from (f"``{method} {path}``", "", operation["description"], "")
            yield from _table("In the query string or headers", _outside(operation))
            yield from _table("In the body", _members(_schema(operation.get("requestBody", {}))))
            yield from _table("In the answer", _members(_schema(operation["responses"]["200"])))


def _outside(operation: Json) -> Iterator[tuple[str, Json, bool]]:
    for parameter in operation["parameters"]:
        if parameter["in"] != "path":
            described = {"description": parameter.get("description", ""), **parameter["schema"]}
            yield parameter["name"], described, parameter["required"]


def _schema(holder: Json) -> Json:
    """The schema of a body, in its JSON form."""
    return holder.get("content", {}).get("application/json", {}).get("schema", {})


def _members(schema: Json, prefix: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Every member of an object, those of objects and of lists of objects below their own."""
    for name, member in schema.get("properties", {}).items():
        yield prefix + name, member, name in schema.get("required", ())
        yield from _members(member, f"{prefix}{name}.")
        yield from _members(member.get("items", {}), f"{prefix}{name}[].")


def _table(title: str, rows: Iterator[tuple[str, Json, bool]]) -> list[str]:
    found = list(rows)
    if not found:
        return []
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :widths: 35 30 35", ""]
    lines += ["   * - Member", "     - Type", "     - Meaning"]
    for name, schema, required in found:
        lines += [f"   * - ``{name}``{' (required)' if required else ''}", f"     - {_type(schema)}"]
        lines += [f"     - {' '.join(schema.get('description', '').split())}"]
    return [*lines, ""]


def _type(schema: Json) -> str:
    if "enum" in schema:
        return ", ".join(f"``{json.dumps(value)}``" for value in schema["enum"])
    kinds: Sequence[str] = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", ["any"])
    limits = [f"{schema[key]} {word}" for key, word in _LIMITS.items() if key in schema]
    return ", ".join([" or ".join(kinds), *filter(None, [schema.get("format")]), *limits])


_LIMITS = {"minimum": "or more", "maximum": "or less", "maxLength": "characters at most", "maxItems": "entries at most"}


class ApiReference(SphinxDirective):
    """The directive; takes nothing."""

    def run(self) -> list[nodes.Node]:
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, StringList(list(_reference()), source=openapi.__file__), section)
        return section.children


def _write(app: Sphinx) -> None:
    Path(app.srcdir, "_static", "openapi.json").write_text(json.dumps(openapi.document(), indent=2, sort_keys=True))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("api-reference", ApiReference)
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
