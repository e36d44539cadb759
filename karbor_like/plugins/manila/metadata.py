"""The properties of a share and its access rules: how they are stored and restored."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.plugins.manila.objects import Shares, Shown
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names, properties, schemas
from karbor_like.plugins.toolkit.details import Details

#: Access rules in a description, at most.
MAX_RULES: Final = 1000

#: States that an access rule leaves by itself.
_PENDING: Final = frozenset({"new", "queued_to_apply", "applying", "queued_to_update", "updating"})

_METADATA: Final[schemas.Schema] = {
    "type": "object",
    "maxProperties": 1000,
    "propertyNames": {"maxLength": 255},
    "additionalProperties": {"type": "string", "maxLength": 1023},
}
_RULE: Final = schemas.record(
    access_type=schemas.TEXT, access_to=schemas.TEXT, access_level=schemas.TEXT_OR_NULL, metadata=_METADATA
)
SCHEMA: Final = schemas.record(
    id=schemas.TEXT,
    name=schemas.TEXT,
    description=schemas.TEXT_OR_NULL,
    size={"type": "integer", "minimum": 1},
    share_proto=schemas.TEXT,
    share_type=schemas.TEXT_OR_NULL,
    share_network_id=schemas.TEXT_OR_NULL,
    availability_zone=schemas.TEXT_OR_NULL,
    is_public=schemas.FLAG,
    replication_type=schemas.TEXT_OR_NULL,
    has_replicas=schemas.FLAG,
    share_group_id=schemas.TEXT_OR_NULL,
    metadata=_METADATA,
    access_rules=schemas.array(_RULE, MAX_RULES),
)


def describe(context: HookContext, share: Shown) -> tuple[dict[str, Any], list[str]]:
    """Return the properties of *share* and its access rules as a JSON object, and remarks on what is not in it.

    The keys of access rules are not stored: they are secrets, and belong to the clients.
    """
    shown = share.values
    rules, remarks = _rules(context, share.id)
    described = {
        "id": share.id,
        "name": share.name,
        "description": shown.get("description"),
        "size": share.size,
        "share_proto": shown.get("share_proto"),
        "share_type": shown.get("share_type_name"),
        "share_network_id": shown.get("share_network_id"),
        "availability_zone": shown.get("availability_zone"),
        "is_public": bool(shown.get("is_public")),
        "replication_type": shown.get("replication_type"),
        "has_replicas": bool(shown.get("has_replicas")),
        "share_group_id": shown.get("share_group_id"),
        "metadata": properties.recorded(share.metadata, properties.SHARE_METADATA),
        "access_rules": rules,
    }
    return schemas.valid(described, SCHEMA, f"what Manila shows of share {share.id}"), remarks


def _rules(context: HookContext, share_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    def read() -> list[dict[str, Any]]:
        with translated(f"the access rules of share {share_id}"):
            return context.clients.manila().access_rules(share_id)

    found = context.waiter.call(read, check=context.check)
    # Manila shows asterisks if a user has hidden a rule from others.
    visible = [rule for rule in found if set(str(rule.get("access_to"))) != {"*"}]
    remarks = []
    if len(visible) < len(found):
        remarks.append(f"{len(found) - len(visible)} access rules that their owners hide are not in the checkpoint")
    if len(visible) > MAX_RULES:
        remarks.append(f"only {MAX_RULES} of its {len(visible)} access rules are in the checkpoint")
    members = ("access_type", "access_to", "access_level")
    return [
        {**{name: rule.get(name) for name in members}, "metadata": rule.get("metadata") or {}}
        for rule in visible[:MAX_RULES]
    ], remarks


def apply(context: HookContext, share_id: str, document: Mapping[str, Any], *, with_rules: bool) -> list[str]:
    """Give the complete share the properties in *document*, and its access rules. Idempotent.

    :param document: what :func:`describe` returned, with the name and the description that the share gets
    :param with_rules: whether it gets the access rules

    Returns a remark for each property that the cloud refuses, and for what a share of a snapshot cannot have. Raises
    ResourceNotFound if the share no longer exists, and what ``context.check`` raises.
    """
    details, shares = Details(context, f"share {share_id}"), Shares(context.clients)
    texts = {name: document[name] for name in ("name", "description") if document[name] is not None}
    details.set_all(
        {**texts, **({"is_public": True} if document["is_public"] else {})},
        lambda values: shares.describe(share_id, values),
        instead={name: names.plain(text) for name, text in texts.items()},
    )
    _apply_metadata(context, details, share_id, document["metadata"])
    rules = document["access_rules"] if with_rules else []
    for rule in rules:
        details.set(f"access rule {_label(rule)}", lambda rule=rule: _allow(context, share_id, rule))  # type: ignore[misc]
    remarks = details.finish(shares, share_id)
    if rules:
        remarks += _unapplied(context, details, share_id)
    if document["has_replicas"]:
        remarks.append("the replicas of the share are not restored")
    if document["share_group_id"]:
        remarks.append(f"the share was part of share group {document['share_group_id']}, and the restored one is not")
    return remarks


def _apply_metadata(context: HookContext, details: Details, share_id: str, wanted: Mapping[str, Any]) -> None:
    manila = context.clients.manila()

    def remove_markers() -> None:
        present = Shown.of(manila.show("shares", share_id)).metadata
        accepted = properties.recorded(present, properties.SHARE_METADATA)
        manila.set_metadata(share_id, accepted, replace=True)

    if details.attempt(lambda: manila.set_metadata(share_id, dict(wanted), replace=True)) is not None:
        details.set_all(wanted, lambda values: manila.set_metadata(share_id, dict(values)), label="metadata ")
        details.set("metadata without the operation's markers", remove_markers)


def _allow(context: HookContext, share_id: str, rule: Mapping[str, Any]) -> None:
    manila = context.clients.manila()
    # Manila refuses a rule that exists: of an earlier attempt, or if an answer was lost.
    if _key(rule) not in map(_key, manila.access_rules(share_id)):
        manila.allow_access(share_id, {name: value for name, value in rule.items() if value})


def _unapplied(context: HookContext, details: Details, share_id: str) -> list[str]:
    """Wait until Manila has applied the access rules. Return remarks on those that it could not apply."""
    found: list[dict[str, Any]] = []

    def read() -> list[dict[str, Any]]:
        with translated(f"the access rules of share {share_id}"):
            return context.clients.manila().access_rules(share_id)

    def wait() -> None:
        found[:] = context.waiter.until(
            f"the access rules of share {share_id} to be applied",
            read,
            done=lambda rules: not any(rule.get("state") in _PENDING for rule in rules),
            check=context.check,
        )

    reason = details.attempt(wait)
    if reason is not None:
        return [f"it is not known whether all access rules apply: {reason}"]
    return [f"Manila could not apply access rule {_label(rule)}" for rule in found if rule.get("state") == "error"]


def _key(rule: Mapping[str, Any]) -> tuple[Any, Any]:
    return rule.get("access_type"), rule.get("access_to")


def _label(rule: Mapping[str, Any]) -> str:
    return f"{rule.get('access_type')}:{rule.get('access_to')}"
