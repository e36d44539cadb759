"""The plan that a restore brings back: it protects what was restored, as the plan of the checkpoint protected the originals.

It is made when the restore has succeeded. A restore does not fail because of it.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import locks, quotas
from karbor_like.db.plans import PLANS
from karbor_like.db.restores import RESTORES
from karbor_like.domain import planned, states
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import PROJECT, Resource
from karbor_like.protection.operation.session import OperationSession
from karbor_like.protection.registry import parameters

LOG = logging.getLogger(__name__)

#: Maximum length of names and descriptions of plans, in characters.
_MAX_NAME: Final = 255
#: Resources and parameters of a plan, as many as a request may have.
_MAX_ITEMS: Final = 1000
#: Things that one remark names.
_MAX_NAMED: Final = 10


def make(operation: OperationSession) -> list[str]:
    """Make the plan for a restore that asks for one, if it has none yet. Return remarks.

    :raises LeaseLost: another process holds the operation
    """
    if operation.spec.is_dry_run:
        return []
    try:
        return _make(operation)
    except (exception.LeaseLost, exception.Cancelled):
        raise
    except exception.KarborLikeError as error:
        LOG.warning("Operation %s: no plan was made: %s", operation.spec.id, error)
        return [f"no plan was made for what was restored: {exception.public_text(error)}"]


def _make(operation: OperationSession) -> list[str]:
    spec = operation.spec
    restored = {**operation.restored(), **parameters.mapping(spec.parameters)}
    restore_id = str(spec.restore_id)
    project_id = operation.database.read(lambda session: RESTORES.get(session, restore_id)).project_id
    wanted = [Resource.from_dict(resource) for resource in spec.plan["resources"]]
    if not spec.is_partial:  # a project is there even if no plugin restores it
        restored |= {node.key: project_id for node in wanted if node.type == PROJECT}
    # Of a plan that names them as a whole, such as a project, a partial restore leaves the resources themselves.
    kept = [node for node in wanted if node.key in restored] or spec.graph.roots
    found = {node: restored[node.key] for node in kept if node.key in restored}
    if not found:
        raise exception.PlanEmpty("nothing of it was restored under an id")
    operation.provider.check_types(OperationType.PROTECT, {node.type for node in found})
    options, refused = _options(operation, restored)
    values = {
        "project_id": project_id,
        "provider_id": spec.provider_id,
        "status": states.SUSPENDED,
        "description": _line(spec.plan.get(planned.DESCRIPTION)) or None,
        "resources": [
            {"type": node.type, "id": new, "name": node.name[:_MAX_NAME]} for node, new in [*found.items()][:_MAX_ITEMS]
        ],
        "parameters": options,
    }
    operation.database.write(lambda session: _insert(operation, session, restore_id, values))
    remarks = []
    lacking = [node for node in wanted if node.key not in restored and node.type != PROJECT]
    if lacking:
        remarks.append(f"the plan has no {_named([node.key for node in lacking])}: not restored")
    if planned.PARAMETERS not in spec.plan:
        remarks.append("the plan has no parameters: an earlier release made the checkpoint, and did not store them")
    if refused:
        remarks.append(f"the plan has no {_named(refused)}: the provider does not accept that")
    return remarks


def _insert(operation: OperationSession, session: orm.Session, restore_id: str, values: Mapping[str, Any]) -> None:
    """Insert the plan and name it in the row of the restore, unless an earlier attempt did."""
    project_id = values["project_id"]
    locks.take(session, project_id)
    if RESTORES.get(session, restore_id, lock=True).restored_plan_id is not None:
        return
    quotas.enforce(session, project_id, "plans", dict(operation.env.conf.quota))
    name = _line(operation.spec.plan.get("name")) or "restored"
    if PLANS.count(session, project_id=project_id, name=name):
        suffix = f"-{restore_id[:8]}"
        name = name[: _MAX_NAME - len(suffix)] + suffix
    row = PLANS.insert(session, id=str(uuid.uuid4()), name=name, **values)
    RESTORES.update(session, restore_id, {"restored_plan_id": row.id})


def _options(operation: OperationSession, ids: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the parameters of the plan, for the new ids, and the names of those that the provider does not accept."""
    stored = operation.spec.plan.get(planned.PARAMETERS)
    schemas, types = operation.provider.schemas("options"), operation.env.protectables.ids()
    found: dict[str, dict[str, Any]] = {}
    refused = []
    for key, name, value in _each(stored):
        kind, separator, _ = key.partition("#")
        if separator and key not in ids:
            continue
        try:
            checked = parameters.check({kind: {name: value}}, schemas, types, root="plan.parameters", strict=True)
        except exception.InvalidInput:
            refused.append(f"{key[:_MAX_NAME]} {name[:_MAX_NAME]}")
            continue
        if checked[kind]:
            found.setdefault(f"{kind}#{ids[key]}" if separator else key, {}).update(checked[kind])
    return found, refused


def _each(stored: Any) -> Iterator[tuple[str, str, Any]]:
    """Go through parameters from a bank: key, name of the option, value."""
    for key, options in [*stored.items()][:_MAX_ITEMS] if isinstance(stored, dict) else ():
        if isinstance(options, dict):
            for name, value in options.items():
                yield key, name, value


def _line(text: Any) -> str:
    """Return the printable characters of a text from a bank, as many as a name may have."""
    return "".join(filter(str.isprintable, text)).strip()[:_MAX_NAME] if isinstance(text, str) else ""


def _named(things: Sequence[str]) -> str:
    return ", ".join(things[:_MAX_NAMED]) + (", ..." if len(things) > _MAX_NAMED else "")
