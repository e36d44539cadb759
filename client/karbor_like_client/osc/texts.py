"""Arguments of several values in one text, as python-karborclient reads them."""

import json
import re
from collections.abc import Sequence
from typing import Any

from osc_lib import exceptions


class Secret(str):
    """The value of an option that the debug output, which has the options of a command, does not show."""

    def __repr__(self) -> str:
        return "'***'"


_NEXT_PAIR = re.compile(r",(?=[A-Za-z_][A-Za-z0-9_-]*=)")


def pairs(text: str, argument: str) -> dict[str, str]:
    """Parse ``key=value,key=value``. A comma in a value is part of it unless what follows looks like a key.

    :raises CommandError: a part is not a pair
    """
    found = {}
    for part in _NEXT_PAIR.split(text):
        key, sign, value = part.partition("=")
        if not sign:
            raise exceptions.CommandError(f"{argument}: {part!r} is not of the form key=value")
        found[key.strip()] = value.strip()
    return found


def words(items: Sequence[str] | None) -> dict[str, str | None] | None:
    """Parse ``key=value`` arguments. A key without a value has the value None."""
    if items is None:
        return None
    return {key: value if sign else None for key, sign, value in (item.partition("=") for item in items)}


def resources(text: str) -> list[dict[str, Any]]:
    """Parse ``id=type=name[=extra_info],...``. ``extra_info`` is JSON without commas.

    :raises CommandError: a part has another form
    """
    found = []
    for part in text.split(","):
        values = part.split("=", 3)
        if len(values) < 3:
            raise exceptions.CommandError(
                f"resources: {part!r} is not of the form id=type=name or id=type=name=extra_info"
            )
        resource: dict[str, Any] = dict(zip(("id", "type", "name"), values, strict=False))
        if len(values) == 4:
            resource["extra_info"] = json_value(values[3], "resources: extra_info")
        found.append(resource)
    return found


def parameters(items: Sequence[str], text: str | None) -> dict[str, Any]:
    """Return the parameters of ``--parameters`` or ``--parameters-json``, by ``Type`` or ``Type#id``.

    :raises CommandError: both are given, or one has another form
    """
    if items and text:
        raise exceptions.CommandError("use either --parameters or --parameters-json, not both")
    if text:
        found = json_value(text, "--parameters-json")
        if not isinstance(found, dict):
            raise exceptions.CommandError("--parameters-json: is not a JSON object")
        return found
    by_resource: dict[str, Any] = {}
    for item in items:
        values = pairs(item, "--parameters")
        kind, id_ = values.pop("resource_type", None), values.pop("resource_id", None)
        if not kind:
            raise exceptions.CommandError(f"--parameters: {item!r} lacks resource_type=<type>")
        by_resource.setdefault(f"{kind}#{id_}" if id_ else kind, {}).update(values)
    return by_resource


def json_value(text: str, argument: str) -> Any:
    """Parse JSON.

    :raises CommandError: it is malformed
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise exceptions.CommandError(f"{argument}: {text!r} is not JSON: {error}") from error
