"""Parameters of plugins for the reader: by the titles that the schemas of a provider have for them.

All texts are plain ones, which templates escape: a provider may have plugins of others.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from karbor_like_dashboard import api
from karbor_like_dashboard.common import maps, texts
from karbor_like_dashboard.exceptions import Failure

#: JSON Schemas by type of resource.
Schemas = Mapping[str, Any]


def title(name: str, schema: Any) -> str:
    """Return the title of a property of a JSON Schema, or its name in words if it has none.

    :param schema: of the property
    """
    found = schema.get("title") if isinstance(schema, Mapping) else None
    return str(found or name.replace("_", " ").capitalize())


def properties(schema: Any) -> Mapping[str, Any]:
    """Return the properties of a JSON Schema by name."""
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def schemas(request: Any, provider_id: str, member: str) -> Schemas:
    """Return schemas of a provider; none if the provider is not known, because they only help to read the page.

    :param member: of the provider's description, such as ``restore_schema``
    """
    with contextlib.suppress(Failure):
        for provider in api.providers(request):
            if provider.id == provider_id:
                return (provider.extended_info_schema or {}).get(member) or {}
    return {}


def rows(parameters: Mapping[str, Mapping[str, Any]], known: Schemas) -> list[tuple[str, Any, str]]:
    """Return title, value, and the resources to which they apply, of parameters; each value of a parameter once.

    :param parameters: of a request, by ``Type``, ``Type#id`` or ``*`` for all types
    :param known: the schemas of the provider
    """
    found: dict[tuple[str, str, str], tuple[str, Any, list[str]]] = {}
    for kind, values in parameters.items():
        for name, value in values.items():
            shown = _title(kind, name, known)
            meant = ", ".join(maps.lines(value)) if isinstance(value, Mapping) else value
            found.setdefault((name, shown, repr(value)), (shown, meant, []))[2].append(texts.resource_type(kind))
    return [(shown, value, ", ".join(kinds)) for shown, value, kinds in found.values()]


def _title(kind: str, name: str, known: Schemas) -> str:
    """Return the title of a parameter, for ``*`` that of the first type which has it."""
    for each in sorted(known) if kind == "*" else (kind.partition("#")[0],):
        of = properties(known.get(each))
        if name in of:
            return title(name, of[name])
    return title(name, None)
