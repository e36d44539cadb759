"""Values in the output of commands, in the forms of python-karborclient."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cliff import columns

#: Returns what a command shows of a value.
Format = Callable[[Any], Any]


def text(value: Any) -> str:
    """Return a value as indented JSON, in all output formats."""
    return json.dumps(value, indent=2, sort_keys=True)


def text_of_text(value: Any) -> Any:
    """Return the text of a JSON value in the form of :func:`text`."""
    return text(json.loads(value)) if isinstance(value, str) else value


def lines(value: Any) -> str:
    """Return a list of texts as lines."""
    return "\n".join(value or ())


def plan(value: Mapping[str, Any]) -> str:
    """Return the name and the id of a checkpoint's plan."""
    return f"Name: {value['name']}\nId: {value['id']}"


def limits(value: Any) -> Any:
    """Return a limit with its use as lines."""
    return "\n".join(f"{name} = {value[name]}" for name in sorted(value)) if isinstance(value, dict) else value


class Structure(columns.FormattableColumn[Any]):
    """An object or a list: JSON in tables, and itself in machine-readable output."""

    def human_readable(self) -> str:
        return text(self._value)


def cell(value: Any) -> Any:
    """Return what to print of a value without a format."""
    return Structure(value) if isinstance(value, dict | list) else value


def row(raw: Mapping[str, Any], headers: Iterable[str], formats: Mapping[str, Format]) -> tuple[Any, ...]:
    """Return the values of one object in a list.

    :param headers: of columns; each is the name of a member, with capitals and spaces
    :param formats: by member
    """
    found = []
    for header in headers:
        name = header.lower().replace(" ", "_")
        value = raw.get(name, "")
        found.append(formats[name](value) if name in formats and value not in ("", None) else cell(value))
    return tuple(found)


def shown(raw: Mapping[str, Any], formats: Mapping[str, Format]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the names and values of the members of one object."""
    names = tuple(sorted(name for name in raw if name != "links"))
    values = (
        formats[name](raw[name]) if name in formats and raw[name] is not None else cell(raw[name]) for name in names
    )
    return names, tuple(values)
