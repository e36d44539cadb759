"""Resources that a checkpoint does not contain although its plan includes them, and why: pure functions on its ``plan``.

They are a member of the checkpoint's ``plan``, which the bank stores and copies inherit. Banks are not trusted: what does not
have the form of an entry is ignored.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from karbor_like.domain.resource import Resource

#: The member of the plan, and of the commit event of a checkpoint that left out more than its plan says.
MEMBER: Final = "left_out"

#: Maximum length of one reason, and of the text about all resources, in characters.
_MAX_REASON: Final = 1000
_MAX_TEXT: Final = 12000

_NAMES: Final = ("type", "id", "name", "reason")


def entry(resource: Resource) -> dict[str, str]:
    """Return a resource that has an obstacle as a JSON object."""
    return {
        "type": resource.type,
        "id": resource.id,
        "name": resource.name,
        "reason": (resource.obstacle or "")[:_MAX_REASON],
    }


def entries(of: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the resources that were left out, each as :func:`entry` returns it.

    :param of: a checkpoint's plan, or the detail of its commit event
    """
    found = of.get(MEMBER)
    if not isinstance(found, list):
        return []
    return [
        {name: one[name] for name in _NAMES}
        for one in found
        if isinstance(one, dict) and all(isinstance(one.get(name), str) for name in _NAMES)
    ]


def resources(of: Mapping[str, Any]) -> list[Resource]:
    """Return the resources that were left out, each with its obstacle. See :func:`entries`."""
    return [Resource(one["type"], one["id"], one["name"], obstacle=one["reason"]) for one in entries(of)]


def recorded(plan: Mapping[str, Any], more: Iterable[Resource]) -> dict[str, Any]:
    """Return *plan* with *more* resources that were left out. Nothing changes if there are none."""
    found = {resource: entry(resource) for resource in (*resources(plan), *more)}
    return {**plan, MEMBER: list(found.values())} if found else dict(plan)


def describe(plan: Mapping[str, Any]) -> str | None:
    """Return a text that names each resource that was left out and why, or None if there are none."""
    found = resources(plan)
    texts: list[str] = []
    for number, resource in enumerate(found):
        name = f" ({resource.name})" if resource.name else ""
        texts.append(f"{resource.key}{name}: {resource.obstacle}")
        if sum(map(len, texts)) > _MAX_TEXT:
            texts[-1] = f"and {len(found) - number} more"
            break
    return f"left out: {'; '.join(texts)}" if texts else None
