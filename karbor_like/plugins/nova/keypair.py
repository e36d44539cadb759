"""The plugin for key pairs: the bank holds the public key, and the private key is known to its owner only."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.template import Template
from karbor_like.plugins.nova import decisions, deployables, description, reading
from karbor_like.plugins.protection import (
    EMPTY_SCHEMA,
    MAP_TO,
    MAP_TO_SCHEMA,
    HookContext,
    ProtectionPlugin,
    ResourceOperation,
    Schemas,
)
from karbor_like.plugins.toolkit import documents, planning, quotas, schemas
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete

#: The decision to use the key pair of the target.
_USED: Final = "key-pair"

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {**EMPTY_SCHEMA, "title": "Key Pair Protection Options", "required": []}
RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Key Pair Protection Restore",
    "type": "object",
    "properties": {MAP_TO: {**MAP_TO_SCHEMA, "maxLength": 255}, **planning.STRICT_PROPERTIES},
    "required": [],
}
SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    **EMPTY_SCHEMA,
    "title": "Key Pair Protection Saved Info",
    "required": [],
}


def key(name: str) -> str:
    """Return ``Type#id`` of a key pair."""
    return f"{resource.KEY_PAIR}#{name}"


def decide(context: HookContext, described: Mapping[str, Any]) -> None:
    """Find out whether the user has the key pair already. For the main hook of a restore.

    :param described: what :func:`karbor_like.plugins.nova.description.key_pair` returned
    """
    present = _present(context, described["name"])
    if present is not None and is_same(present, described):
        decisions.decide(context, _USED, described["name"])


def contribute(context: HookContext, template: Template, described: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Add a key pair to a template, or let references to it mean the one of the user. Return remarks.

    :param prefix: beginning of the name of the description
    """
    name, original = described["name"], key(described["name"])
    if template.knows(original) or original in context.mapping:
        return []
    used = decisions.decided(context, _USED)
    if used is not None:
        template.use(original, used)
        return []
    remarks, present = [], _present(context, name)
    if present is not None and not is_same(present, described):
        name = f"{name[:240]}-{context.operation_id[:8]}"
        remarks = [f"another key pair has the name {described['name']!r}: the restored one is {name!r}"]
    properties = {"name": name, "public_key": described["public_key"], "type": described["type"]}
    # Names of key pairs are too long for the names of descriptions.
    label = hashlib.sha256(described["name"].encode()).hexdigest()[:16]
    template.add(f"{prefix}keypair_{label}", resource.KEY_PAIR, properties, restores=original)
    return remarks


def is_same(present: Mapping[str, Any], described: Mapping[str, Any]) -> bool:
    """Return whether two key pairs have the same key."""
    return deployables.same_key(str(present.get("public_key")), described["public_key"])


def _present(context: HookContext, name: str) -> dict[str, Any] | None:
    """Return the user's key pair of that name, or None."""

    def find() -> dict[str, Any] | None:
        try:
            return reading.find_key_pair(reading.newest(context.clients), name)
        except exception.NotFound:
            return None

    return context.waiter.call(find, check=context.check)


class Protect(ResourceOperation):
    """Stores the public key, with its name, type and fingerprint."""

    def main(self, context: HookContext) -> None:
        context.report.step("reading the public key")
        found = context.waiter.call(
            lambda: reading.find_key_pair(reading.newest(context.clients), context.resource.id), check=context.check
        )
        described = description.key_pair(found)
        _checked(described)
        documents.put(context, {"key_pair": described})


class Restore(ResourceOperation):
    """Imports the public key, unless the user has it."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        try:
            described = _document(context)
            present = _present(context, described["name"])
        except (exception.ResourceFailed, exception.NotFound) as error:
            return [PlannedAction(Action.CONFLICT, context.resource.key, exception.public_text(error))]
        target = context.mapping.get(context.resource.key)
        if target is not None:
            if _present(context, target) is None:
                return [PlannedAction(Action.CONFLICT, context.resource.key, f"you have no key pair {target!r}")]
            return [PlannedAction(Action.MAP, context.resource.key, f"the request maps it to {target!r}")]
        if present is not None and is_same(present, described):
            return [PlannedAction(Action.REUSE, context.resource.key, "the user has this key pair")]
        reason = "another key pair has its name, so it gets another name" if present else ""
        action = Action.CONFLICT if present and planning.is_strict(context) else Action.CREATE
        return [PlannedAction(action, context.resource.key, reason)]

    def main(self, context: HookContext) -> None:
        decide(context, _document(context))

    def contribute(self, context: HookContext, template: Template) -> None:
        if context.is_dry_run:
            context = decisions.draft(context)
            decide(context, _document(context))
        contribute(context, template, _document(context))

    def complete(self, context: HookContext) -> dict[str, Any]:
        described, original = _document(context), context.resource.key
        name = (
            context.mapping.get(original)
            or decisions.decided(context, _USED)
            or context.restored.get(original)
            or described["name"]
        )
        remarks = [] if name == described["name"] else [f"the restored key pair has the name {name!r}"]
        return {"restored": {original: name}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        decisions.forget(context)


class Verify(ResourceOperation):
    """Checks that the public key can be read from the bank."""

    def main(self, context: HookContext) -> None:
        context.report.step("checking the stored key")
        _document(context)


class KeyPairProtection(ProtectionPlugin):
    """Stores the public keys of key pairs."""

    api_version = 1
    schemas = {resource.KEY_PAIR: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: SectionDelete,
        OperationType.COPY: SectionCopy,
    }
    deployables = {resource.KEY_PAIR: deployables.KeyPair}
    quotas = (quotas.compute,)


def _document(context: HookContext) -> dict[str, Any]:
    return _checked(documents.get(context).get("key_pair"))


def _checked(described: Any) -> dict[str, Any]:
    return schemas.valid(described, description.KEY_PAIR, "the stored description of the key pair")
