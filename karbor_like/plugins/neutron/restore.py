"""The restore of a network topology: it contributes resources to the template, and creates nothing by itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.template import Template
from karbor_like.plugins.neutron import choices, reading, rules, schema, topology
from karbor_like.plugins.neutron.deployables import groups
from karbor_like.plugins.neutron.mapping import NETWORK_MAP, PUBLIC
from karbor_like.plugins.neutron.target import Target
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import names, planning

#: Name of the document in the section.
DOCUMENT: Final = "networks"

#: Entries of a map, at most.
_MAX_ENTRIES: Final = 1000
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 255}

# Clients know restore_name only. See Schemas for the meaning of "required".
SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Network Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            **names.NAME,
            "title": "Restore Name",
            "description": "Has no effect: networks and all other objects get the names that they had, after the prefix.",
            "default": None,
        },
        **names.PREFIX_PROPERTIES,
        **planning.STRICT_PROPERTIES,
        "mode": {
            "type": "string",
            "title": "Mode",
            "description": (
                "auto: use what still exists, and create the rest; copy: create everything, with other MAC addresses and"
                " floating IPs; reuse: create nothing, and fail if something no longer exists."
            ),
            "enum": [choices.AUTO, choices.COPY, choices.REUSE],
            "default": choices.AUTO,
        },
        NETWORK_MAP: {
            "type": "object",
            "title": "Network Map",
            "description": (
                "Existing networks to use: id or name of a network in the checkpoint, and id or name of the one to use."
                " Subnets, security groups and QoS policies can be named by their ids."
            ),
            "maxProperties": _MAX_ENTRIES,
            "propertyNames": _NAME,
            "additionalProperties": _NAME,
        },
        PUBLIC: {
            **_NAME,
            "title": "Public Network ID",
            "description": "The external network for the gateways of all routers and for all floating IPs.",
        },
        "floating_ips": {
            "type": "string",
            "title": "Floating IPs",
            "description": (
                "keep-or-new: the addresses that they had, or others if these are taken; new: other addresses; none: no"
                " floating IPs."
            ),
            "enum": [choices.KEEP_OR_NEW, choices.NEW, choices.NONE],
            "default": choices.KEEP_OR_NEW,
        },
    },
    "required": ["restore_name"],
}


class Restore(ResourceOperation):
    """Contributes what does not exist in the target, and lets references mean what does."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        try:
            document = _document(context)
        except exception.ResourceFailed as error:
            return [PlannedAction(Action.CONFLICT, context.resource.key, exception.public_text(error))]
        made = _choose(context, document, choices.plan)
        if planning.is_strict(context) and not made.conflicts:
            return [*made.lines, *(_conflict(context, remark) for remark in _remarks(document, made))]
        return made.lines

    def contribute(self, context: HookContext, template: Template) -> None:
        document = _document(context)
        made = _choose(context, document)
        if made.conflicts:
            reasons = (f"{line.resource_key}: {line.reason}" for line in made.conflicts)
            raise exception.Conflict("; ".join(reasons))
        for original, target_id in made.existing.items():
            template.use(original, target_id)
        topology.contribute(document, template, made)

    def complete(self, context: HookContext) -> dict[str, Any]:
        document = _document(context)
        context.report.step("restricting the outgoing traffic of security groups")
        # No template describes this.
        for group in rules.closed_groups(document):
            original = schema.key(schema.GROUP, group)
            if context.template and original in context.template.originals and original in context.restored:
                created = context.restored[original]
                context.waiter.call(lambda created=created: groups.close(context.clients, created), check=context.check)  # type: ignore[misc]
        remarks = _remarks(document, _choose(context, document))
        return {"restored": {context.resource.key: context.clients.project_id}, "remarks": remarks}


def _document(context: HookContext) -> schema.Document:
    return schema.checked(context.section.get(DOCUMENT))


def _remarks(document: schema.Document, made: choices.Choices) -> list[str]:
    """Return what the restore does not restore as it was."""
    return [*made.remarks, *topology.contribute(document, Template(), made)]


def _conflict(context: HookContext, remark: str) -> PlannedAction:
    """Return the conflict that a remark is in a strict restore."""
    original, separator, reason = remark.partition(": ")
    if not separator or "#" not in original:
        original, reason = context.resource.key, remark
    return PlannedAction(Action.CONFLICT, original, f"{reason}, which a strict restore must not accept")


def _choose(
    context: HookContext, document: schema.Document, choose: Callable[..., choices.Choices] = choices.choose
) -> choices.Choices:
    foreign = [each["id"] for each in document["foreign"] if each["type"] == schema.GROUP]
    answers = context.waiter.call(lambda: reading.read_objects(context.clients, foreign), check=context.check)
    target = Target(context.clients.project_id, answers, frozenset(context.restored.values()))
    return choose(document, target, context.parameters, context.mapping, context.resource.key)
