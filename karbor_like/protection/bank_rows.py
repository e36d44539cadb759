"""The columns of the rows of checkpoints, from their records in a bank.

Other sites write to the bank, and everyone who controls its storage can change what is not encrypted. So a record is checked
before the database, requests and plugins use any of it. What does not have the form of a checkpoint concerns that checkpoint
only.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.bank import CheckpointRecord
from karbor_like.domain import left_out, planned, states
from karbor_like.domain.graph import Graph
from karbor_like.plugins.toolkit import schemas
from karbor_like.protection.registry.project_map import PROJECT_ID

#: Maximum length of a graph and of all other texts of a record, in characters.
_MAX_GRAPH: Final = 4 << 20
_MAX_TEXT: Final = 4 << 20
#: The range of times that every database stores.
_EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9990, 1, 1, tzinfo=UTC)
_MAX_BYTES: Final = (1 << 63) - 1
_SIZES: Final = ("logical", "new", "stored")

_TYPE: Final[Mapping[str, Any]] = {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{1,255}\Z"}
#: Plugins put ids into URLs. An id has no delimiter of a path, a query or a key, and is no step upward.
_ID: Final[Mapping[str, Any]] = {"type": "string", "pattern": r"^(?!\.{1,2}\Z)[^/\\?#%\x00-\x1f\x7f]{1,255}\Z"}
_NAME: Final[Mapping[str, Any]] = {"type": ["string", "null"], "maxLength": 1024}
_PLAN: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 36},
        "name": {"type": "string", "maxLength": 255},
        "provider_id": {"type": "string", "maxLength": 36},
        planned.DESCRIPTION: {"type": ["string", "null"]},
        planned.PARAMETERS: {"type": "object", "additionalProperties": {"type": "object"}},
        "resources": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": _TYPE, "id": _ID, "name": _NAME},
                "required": ["type", "id"],
            },
        },
    },
    "required": ["id", "name", "resources"],
}
_NODES: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"type": _TYPE, "id": _ID, "name": _NAME, "extra_info": {"type": ["object", "string", "null"]}},
    },
}


def check(record: CheckpointRecord, provider_id: str) -> None:
    """Check what the services and plugins use of a record.

    :param provider_id: of the provider whose bank it is in
    :raises InvalidInput: it is not a checkpoint of that provider
    """
    if not uuidutils.is_uuid_like(record.id):
        raise exception.InvalidInput(f"its id {record.id[:64]!r} is not a UUID")
    if not PROJECT_ID.fullmatch(record.project_id):
        raise exception.InvalidInput(f"{record.project_id[:100]!r} cannot be the id of a project")
    if record.provider_id != provider_id:
        raise exception.InvalidInput(f"it is of provider {record.provider_id[:64]!r}, not of {provider_id}")
    if not _EARLIEST < record.created_at < _LATEST:
        raise exception.InvalidInput(f"{record.created_at} cannot be when it was created")
    if len(record.resource_graph) > _MAX_GRAPH:
        raise exception.InvalidInput(
            f"its resource graph has {len(record.resource_graph)} characters, and {_MAX_GRAPH} are allowed"
        )
    try:
        graph = Graph.from_text(record.resource_graph)
        wrong = schemas.error(record.plan, _PLAN, "protection_plan") or schemas.error(
            [node.to_dict() for node in graph.nodes], _NODES, "resource_graph"
        )
        if wrong:
            raise exception.InvalidInput(wrong)
        _check_text([record.plan, record.extra_info, record.resource_graph, *(event.detail for event in record.events)])
    except RecursionError:
        raise exception.InvalidInput("its documents are nested too deeply") from None


def values(record: CheckpointRecord, project_map: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns of a new row for a checkpoint that :func:`check` accepted.

    :param project_map: project in the bank -> project here
    """
    project_id = project_map.get(record.project_id, record.project_id)
    return {
        "id": record.id,
        "project_id": project_id,
        "bank_project_id": record.project_id if record.project_id != project_id else None,
        "provider_id": record.provider_id,
        "plan_id": str(record.plan["id"]),
        "status": record.status,
        "created_at": record.created_at,
        **results(record),
    }


def results(record: CheckpointRecord) -> dict[str, Any]:
    """Return the columns that depend on the commit event of a checkpoint, which only a complete one has."""
    commits = [event.detail for event in record.events if event.status == states.AVAILABLE]
    detail = {name: value for commit in commits for name, value in commit.items()}
    more = detail.get("extra_info")
    plan = left_out.recorded(record.plan, left_out.resources(detail))
    graph = Graph.from_text(record.resource_graph).without(left_out.resources(detail))
    return {
        "plan": plan,
        "resource_graph": graph.to_text(),
        "reason": left_out.describe(plan) if record.status == states.AVAILABLE else None,
        "extra_info": {**record.extra_info, **(more if isinstance(more, dict) else {})},
        **{f"{name}_bytes": _sum(detail.get("sizes"), name) for name in _SIZES},
    }


def _sum(sizes: Any, name: str) -> int | None:
    """Return the sum of one size of all resources in bytes, or None if it is unknown or zero."""
    each = sizes.values() if isinstance(sizes, dict) else ()
    found = [size.get(name) for size in each if isinstance(size, dict)]
    total = sum(number for number in found if isinstance(number, int) and number >= 0)
    return total if 0 < total <= _MAX_BYTES else None


def _check_text(value: Any) -> None:
    """Check that the databases can store all texts of *value*."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > _MAX_TEXT:
        raise exception.InvalidInput(f"its documents have {len(text)} characters, and {_MAX_TEXT} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise exception.InvalidInput("its documents contain a character that is not one of Unicode") from None
    if r"\u0000" in text:
        raise exception.InvalidInput("its documents contain the character 0")
