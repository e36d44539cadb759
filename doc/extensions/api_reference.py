"""Directives that generate the reference of the REST API.

``.. api-reference::`` lists the routes of the service's OpenAPI document, ``.. error-reference::`` the types of errors.

The extension also writes the document to ``_static/openapi.json``, so that pages can link to it.
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

from karbor_like.api import errors, openapi

Json = Mapping[str, Any]


def _operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _title(text: str, underline: str) -> list[str]:
    return [text, underline * len(text), ""]


def _reference() -> Iterator[str]:
    for tag, group in groupby(_operations(), key=lambda entry: entry[2]["tags"][0]):
        yield from _title(tag.replace("_", " ").capitalize(), "=")
        for method, path, operation in group:
            yield from _title(operation["summary"].rstrip("."), "-")
            yield from (f"``{method} {path}``", "", operation["description"], "")
            yield from _table("Query parameters and headers", _parameters(operation))
            yield from _table("Request body", _members(_schema(operation.get("requestBody", {}))))
            yield from _table("Response body", _members(_schema(operation["responses"]["200"])))


def _parameters(operation: Json) -> Iterator[tuple[str, Json, bool]]:
    for parameter in operation["parameters"]:
        if parameter["in"] != "path":
            described = {"description": parameter.get("description", ""), **parameter["schema"]}
            yield parameter["name"], described, parameter["required"]


def _schema(holder: Json) -> Json:
    """Return the JSON schema of a request or response body; empty if there is no body."""
    return holder.get("content", {}).get("application/json", {}).get("schema", {})


def _members(schema: Json, prefix: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Yield every member of a schema, followed by the members of nested objects and lists of objects."""
    for name, member in schema.get("properties", {}).items():
        yield prefix + name, member, name in schema.get("required", ())
        yield from _members(member, f"{prefix}{name}.")
        yield from _members(member.get("items", {}), f"{prefix}{name}[].")


def _table(title: str, rows: Iterator[tuple[str, Json, bool]]) -> list[str]:
    members = list(rows)
    if not members:
        return []
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :widths: 35 30 35", ""]
    lines += ["   * - Member", "     - Type", "     - Meaning"]
    for name, schema, required in members:
        lines += [f"   * - ``{name}``{' (required)' if required else ''}", f"     - {_type(schema)}"]
        lines += [f"     - {' '.join(schema.get('description', '').split())}"]
    return [*lines, ""]


def _type(schema: Json) -> str:
    if "enum" in schema:
        return ", ".join(f"``{json.dumps(value)}``" for value in schema["enum"])
    kinds: Sequence[str] = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", ["any"])
    limits = [f"{schema[key]} {word}" for key, word in _LIMITS.items() if key in schema]
    return ", ".join([" or ".join(kinds), *filter(None, [schema.get("format")]), *limits])


_LIMITS = {"minimum": "or more", "maximum": "or less", "maxLength": "characters or less", "maxItems": "entries or less"}


def error_table() -> Iterator[str]:
    """Yield the lines of a table of all types of errors."""
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 30 10 60", "")
    yield from ("   * - Type", "     - Status", "     - Meaning")
    for kind, status in errors.catalogue():
        meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        yield from (f"   * - ``{kind.type}``", f"     - {status}", f"     - {meaning}")


class _Generated(SphinxDirective):
    """A directive without arguments that inserts generated lines."""

    def lines(self) -> Iterator[str]:
        """Yield reStructuredText."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the lines as a part of the document."""
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, StringList(list(self.lines()), source=openapi.__file__), section)
        return section.children


class ApiReference(_Generated):
    """Insert a section for every noun, with its routes."""

    def lines(self) -> Iterator[str]:
        return _reference()


class ErrorReference(_Generated):
    """Insert the table of all types of errors."""

    def lines(self) -> Iterator[str]:
        return error_table()


def _write(app: Sphinx) -> None:
    Path(app.srcdir, "_static", "openapi.json").write_text(json.dumps(openapi.document(), indent=2, sort_keys=True))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    app.add_directive("api-reference", ApiReference)
    app.add_directive("error-reference", ErrorReference)
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
