"""The restore of a project. It creates no project, and by default it changes nothing.

At the request of an administrator of the target it gives users the roles that they had, and raises quotas. It acts as
that administrator, never as the service user, so that a tenant's checkpoint gives no power that the tenant does not have.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients import identity
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.quota import UNBOUNDED, UNLIMITED, Quota
from karbor_like.plugins.keystone import description, grants
from karbor_like.plugins.protection import Entry, HookContext, ResourceOperation
from karbor_like.plugins.toolkit import documents, quotas, schemas

NONE: Final = "none"
EXISTING_USERS: Final = "existing-users"
RAISE: Final = "raise"

SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Project Protection Restore",
    "type": "object",
    "properties": {
        "roles": {
            "type": "string",
            "title": "Roles",
            "description": (
                "none: no roles are given; existing-users: users of the same name and domain get the roles that they had in"
                " the project, which only administrators may ask for."
            ),
            "enum": [NONE, EXISTING_USERS],
            "default": NONE,
        },
        "quotas": {
            "type": "string",
            "title": "Quotas",
            "description": (
                "none: quotas stay as they are; raise: quotas that are lower than in the checkpoint are raised, which only"
                " administrators may ask for."
            ),
            "enum": [NONE, RAISE],
            "default": NONE,
        },
    },
    "required": [],
}

#: Beginnings of the roles in the journal.
_ROLE: Final = "role-"
_QUOTA: Final = "quota-"


@dataclass(frozen=True)
class _Change:
    """A quota in the checkpoint that the cloud has as well.

    :param service: a key of :data:`karbor_like.plugins.toolkit.quotas.SERVICES`
    :param present: the quota in the target
    :param limit: the limit in the checkpoint
    """

    service: str
    name: str
    present: Quota
    limit: int

    @property
    def is_raised(self) -> bool:
        return self.present.is_below(self.limit)

    @property
    def planned(self) -> PlannedAction:
        key = f"{quotas.SERVICES[self.service].kind}#{self.name}"
        if self.is_raised:
            return PlannedAction(Action.CREATE, key, f"raised from {self.present.limit} to {self.limit}")
        return PlannedAction(Action.SKIP, key, f"it is {self.present.limit}, and was {self.limit}")


class Restore(ResourceOperation):
    """Gives roles and raises quotas if the request asks for that."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        own = context.resource.key
        try:
            document = read(context)
        except exception.ResourceFailed as error:
            return [PlannedAction(Action.CONFLICT, own, exception.public_text(error))]
        if document is None:
            return [PlannedAction(Action.REUSE, own, "the checkpoint has no description of the project")]
        asked = [name for name in ("roles", "quotas") if context.parameters.get(name, NONE) != NONE]
        if asked and not _is_administrator(context):
            reason = f"only administrators of the project may ask for {' and '.join(asked)}: leave that out of the parameters"
            return [PlannedAction(Action.CONFLICT, own, reason)]
        used = PlannedAction(Action.REUSE, own, "projects are not created: the one of the request is used")
        return [used, *self._planned_quotas(context, document), *self._planned_roles(context, document)]

    @staticmethod
    def _planned_quotas(context: HookContext, document: description.Document) -> list[PlannedAction]:
        if context.parameters.get("quotas", NONE) == RAISE:
            return [change.planned for change in _changes(context, document)]
        reason = "quotas stay as they are, unless an administrator asks for quotas=raise"
        return [
            PlannedAction(Action.SKIP, f"{quotas.SERVICES[name].kind}#{document['id']}", reason)
            for name in document["quotas"]
        ]

    @staticmethod
    def _planned_roles(context: HookContext, document: description.Document) -> list[PlannedAction]:
        if context.parameters.get("roles", NONE) == EXISTING_USERS:
            return [
                PlannedAction(Action.SKIP if grant.obstacle else Action.CREATE, grant.key, grant.obstacle)
                for grant in _grants(context, document)
            ]
        reason = "no roles are given, unless an administrator asks for roles=existing-users"
        return [PlannedAction(Action.SKIP, grants.key(each), reason) for each in document["roles"]]

    def needs(self, context: HookContext) -> Mapping[str, int]:
        document = read(context)
        if document is None or context.parameters.get("quotas", NONE) != RAISE:
            return {}
        raised = [change for change in _changes(context, document) if change.is_raised]
        return {
            each.name: each.present.limit - (UNBOUNDED if each.limit == UNLIMITED else each.limit) for each in raised
        }

    def prepare_begin(self, context: HookContext) -> None:
        # The children need the quotas.
        document = read(context)
        if document is not None and context.parameters.get("quotas", NONE) == RAISE:
            context.report.step("raising quotas")
            for change in _changes(context, document):
                _raise(context, change)

    def complete(self, context: HookContext) -> dict[str, Any]:
        document, remarks = read(context), list[str]()
        if document is None:
            remarks.append(
                "the checkpoint has no description of the project: it was made without the plugin for projects"
            )
        elif context.parameters.get("roles", NONE) == EXISTING_USERS:
            context.report.step("giving roles")
            for grant in _grants(context, document):
                remarks += _give(context, grant)
        return {"restored": {context.resource.key: context.clients.project_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        failures = []
        for entry in reversed(context.journal.entries()):
            try:
                context.waiter.call(lambda entry=entry: _undo(context, entry), check=context.check)  # type: ignore[misc]
            except (exception.LeaseLost, exception.Cancelled):
                raise
            except exception.KarborLikeError as error:
                failures.append(exception.public_text(error))
            else:
                context.journal.gone(entry.role)
        if failures:
            raise exception.ResourceFailed(f"not undone in the project: {'; '.join(failures)}")


def read(context: HookContext) -> description.Document | None:
    """Return the description in a checkpoint, or None if it was made without this plugin.

    Raises ResourceFailed if it is damaged.
    """
    try:
        document = documents.get(context).get("project")
    except exception.NotFound:
        return None
    return schemas.valid(document, description.SCHEMA, "the stored description of the project")


def _is_administrator(context: HookContext) -> bool:
    return context.waiter.call(lambda: identity.is_administrator(context.clients), check=context.check)


def _changes(context: HookContext, document: description.Document) -> list[_Change]:
    """Return the quotas that both the checkpoint and the cloud have."""
    changes = []
    for service, limits in document["quotas"].items():
        try:
            present = context.waiter.call(
                lambda service=service: quotas.SERVICES[service].read(context.clients, None),  # type: ignore[misc]
                check=context.check,
            )
        except exception.Unsupported:
            continue
        changes += [_Change(service, name, present[name], limits[name]) for name in sorted(limits) if name in present]
    return changes


def _raise(context: HookContext, change: _Change) -> None:
    """Raise a quota, and remember what it was."""
    role = _QUOTA + _digest(f"{change.service}/{change.name}")
    entry = context.journal.peek(role)
    if entry is None or entry.cloud_id is None:
        if not change.is_raised:
            return
        context.journal.intend(role, keep=True)
        context.journal.made(role, f"{change.service}/{change.present.limit}/{change.name}")
    _set_limit(context, change.service, change.name, change.limit)


def _set_limit(context: HookContext, service: str, name: str, limit: int) -> None:
    context.waiter.call(
        lambda: quotas.SERVICES[service].change(context.clients, context.clients.project_id, name, limit),
        check=context.check,
    )


def _give(context: HookContext, grant: grants.Grant) -> list[str]:
    """Give a role, and remember that it was not there. Return remarks."""
    role = _ROLE + _digest(grant.key)
    entry = context.journal.peek(role)
    if entry is None or entry.cloud_id is None:
        if grant.obstacle:
            return [] if grant.path else [f"{grant.key}: {grant.obstacle}"]
        context.journal.intend(role, keep=True)
        entry = context.journal.made(role, grant.path)
    path = str(entry.cloud_id)
    context.waiter.call(lambda: grants.give(context.clients, context.clients.project_id, path), check=context.check)
    return []


def _undo(context: HookContext, entry: Entry) -> None:
    """Undo what an entry of the journal names. One without an id was not begun."""
    if entry.cloud_id is None:
        return
    if entry.role.startswith(_ROLE):
        grants.take(context.clients, context.clients.project_id, entry.cloud_id)
    else:
        service, limit, name = entry.cloud_id.split("/", 2)
        quotas.SERVICES[service].change(context.clients, context.clients.project_id, name, int(limit))


def _grants(context: HookContext, document: description.Document) -> list[grants.Grant]:
    return context.waiter.call(
        lambda: grants.decide(context.clients, context.clients.project_id, document["roles"]), check=context.check
    )


def _digest(text: str) -> str:
    """Return a name that fits in the journal."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
