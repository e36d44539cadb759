"""The plan that a checkpoint was made of, as the bank stores it: pure functions.

It has the members of the API's ``protection_plan``, and what a restore needs to make a plan like it: ``description`` and
``parameters``. Earlier versions stored neither.
"""

from collections.abc import Mapping
from typing import Any, Final

DESCRIPTION: Final = "description"
PARAMETERS: Final = "parameters"

_SHOWN: Final = ("id", "name", "provider_id", "resources")


def shown(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``protection_plan`` of the API."""
    return {name: plan[name] for name in _SHOWN if name in plan}


def storable(parameters: Mapping[str, Mapping[str, Any]], schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of a plan that may be stored with its checkpoints: those with a schema that are no secrets.

    :param parameters: by ``Type`` and ``Type#id``
    :param schemas: JSON schemas of the options, by resource type. Secrets are marked as ``writeOnly`` or have the format
        ``password``
    """
    found = {}
    for key, options in parameters.items():
        properties = schemas.get(key.partition("#")[0], {}).get("properties") or {}
        kept = {name: value for name, value in options.items() if not _is_secret(properties.get(name))}
        if kept:
            found[key] = kept
    return found


def _is_secret(schema: Any) -> bool:
    """Whether an option with this schema is a secret, or may be one because it has no schema."""
    return not isinstance(schema, Mapping) or bool(schema.get("writeOnly")) or schema.get("format") == "password"
