"""What a restore would do: the actions of all resources, the bytes to read, and the template. Nothing is created."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HookContext
from karbor_like.protection.operation import deployers, needs
from karbor_like.protection.operation.session import OperationSession

#: The largest template that a plan shows, in characters of JSON.
MAX_TEMPLATE: Final = 512 * 1024
#: Properties that are never shown.
_SECRET: Final = frozenset({"user_data"})
_HIDDEN: Final = "(not shown)"


def actions(operation: OperationSession, context: HookContext) -> Sequence[PlannedAction]:
    """Return what a restore would do for one resource. Without the hook ``plan``, it would create the resource.

    :param context: of the resource
    """
    resource = context.resource
    if resource not in operation.implementing("plan"):
        return [PlannedAction(Action.CREATE, resource.key)]
    return operation.resource_operation(resource).plan(context)


def contested(planned: Iterable[tuple[Resource, PlannedAction]]) -> list[tuple[Resource, PlannedAction]]:
    """Return a conflict for each resource that would take an object which a resource before it takes."""
    takers: dict[str, Resource] = {}
    return [
        (
            resource,
            PlannedAction(Action.CONFLICT, line.resource_key, f"{takers[line.takes].key} takes {line.takes} as well"),
        )
        for resource, line in planned
        if line.takes and takers.setdefault(line.takes, resource) != resource
    ]


def choose_deployer(operation: OperationSession) -> tuple[deployers.Choice | None, list[PlannedAction]]:
    """Return how the template of a restore would be deployed, or None and a conflict why the provider's deployer cannot.

    Raises Conflict if a reference in the template means nothing.
    """
    template = operation.drafted_template
    try:
        return (operation.drafted_choice() if template else None), []
    except (exception.ResourceFailed, exception.Unsupported, exception.Conflict) as error:
        first = operation.implementing("contribute")[0]
        return None, [PlannedAction(Action.CONFLICT, first.key, exception.public_text(error))]


def plan(operation: OperationSession) -> dict[str, Any]:
    """Return the result of a dry run, as the API shows it."""
    names = {node.key: node.name for node in operation.spec.graph.nodes}
    lines, every = [], list[tuple[Resource, PlannedAction]]()
    for resource in operation.spec.graph.nodes:
        context = operation.hook_context(resource, operation.progress(resource))
        planned = actions(operation, context)
        every += [(resource, line) for line in planned]
        creates = any(line.action is Action.CREATE and line.resource_key == resource.key for line in planned)
        size = _bytes(context) if creates else None
        lines += [
            _shown(line, names.get(line.resource_key), size if line.resource_key == resource.key else None)
            for line in planned
        ]
    lines += [_shown(line, resource.name) for resource, line in contested(every)]
    template, conflicts = _template(operation, lines)
    quotas = needs.compare(operation)
    conflicts += [line for _, line in needs.conflicts(quotas)]
    lines += [_shown(line, names.get(line.resource_key)) for line in conflicts]
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


def _bytes(context: HookContext) -> int:
    """Return the size of what the bank holds of a resource as streams."""
    return sum(context.section.stats(name).logical for name in context.section.streams())


def _template(
    operation: OperationSession, lines: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[PlannedAction]]:
    """Return the members of the plan about the template, and its conflicts."""
    if not operation.implementing("contribute"):
        return _without_template("no resource contributes to a template"), []
    if any(line["action"] == Action.CONFLICT for line in lines):
        return _without_template("there are conflicts"), []
    try:
        template = operation.drafted_template
        choice, conflicts = choose_deployer(operation)
    except exception.Conflict as error:
        return _without_template(exception.public_text(error)), []
    how = {"deployer": choice.name if choice else None, "deployer_reason": choice.reason if choice else ""}
    shown = _without_secrets(template)
    if len(json.dumps(shown)) > MAX_TEMPLATE:
        return {**_without_template(f"it has more than {MAX_TEMPLATE} characters"), **how}, conflicts
    return {"template": shown, "template_reason": "", **how}, conflicts


def _without_template(reason: str) -> dict[str, Any]:
    return {"template": None, "template_reason": reason, "deployer": None, "deployer_reason": ""}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _HIDDEN if key in _SECRET and item else _without_secrets(item) for key, item in value.items()}
