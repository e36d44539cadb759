"""What a restore would do: the actions of all resources, the bytes to read, and the template. Nothing is created."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation import needs
from karbor_like.protection.operation.session import OperationSession

#: The largest template that a plan shows, in characters of JSON.
MAX_TEMPLATE: Final = 512 * 1024
#: Properties that are never shown.
_SECRET: Final = frozenset({"user_data"})
_HIDDEN: Final = "(not shown)"


def actions(operation: OperationSession, resource: Resource) -> Sequence[PlannedAction]:
    """Return what a restore would do for one resource. Without the hook ``plan``, it would create the resource."""
    if resource not in operation.implementing("plan"):
        return [PlannedAction(Action.CREATE, resource.key)]
    return operation.resource_operation(resource).plan(operation.hook_context(resource, operation.progress(resource)))


def plan(operation: OperationSession) -> dict[str, Any]:
    """Return the result of a dry run, as the API shows it."""
    names = {node.key: node.name for node in operation.spec.graph.nodes}
    lines = []
    for resource in operation.spec.graph.nodes:
        planned = actions(operation, resource)
        creates = any(line.action is Action.CREATE and line.resource_key == resource.key for line in planned)
        size = _bytes(operation, resource) if creates else None
        lines += [
            _shown(line, names.get(line.resource_key), size if line.resource_key == resource.key else None)
            for line in planned
        ]
    template, quotas = _template(operation, lines), needs.compare(operation)
    for resource, line in needs.conflicts(quotas):
        lines.append(_shown(line, resource.name))
    total = sum(line["bytes"] or 0 for line in lines)
    return {"actions": lines, "bytes": total, "quotas": [each.shown for each in quotas], **template}


def _shown(line: PlannedAction, name: str | None, size: int | None = None) -> dict[str, Any]:
    return {
        "action": line.action.value,
        "resource": line.resource_key,
        "name": name,
        "reason": line.reason,
        "bytes": size,
    }


def _bytes(operation: OperationSession, resource: Resource) -> int:
    """Return the size of what the bank holds of a resource as streams."""
    section = operation.hook_context(resource, operation.progress(resource)).section
    return sum(section.stats(name).logical for name in section.streams())


def _template(operation: OperationSession, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not operation.implementing("contribute"):
        return {"template": None, "template_reason": "no resource contributes to a template"}
    if any(line["action"] == Action.CONFLICT for line in lines):
        return {"template": None, "template_reason": "there are conflicts"}
    try:
        template = operation.drafted_template()
    except exception.Conflict as error:
        return {"template": None, "template_reason": exception.public_text(error)}
    shown = _without_secrets(template)
    if len(json.dumps(shown)) > MAX_TEMPLATE:
        return {"template": None, "template_reason": f"it has more than {MAX_TEMPLATE} characters"}
    return {"template": shown, "template_reason": ""}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _HIDDEN if key in _SECRET and item else _without_secrets(item) for key, item in value.items()}
