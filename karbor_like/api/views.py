"""Rows and answers of the protection service as the objects that clients know, member by member."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from karbor_like.db import models
from karbor_like.domain import retention as domain

Json = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    """UTC with microseconds and without a zone, as old clients parse it."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def plan(row: models.Plan) -> Json:
    """The plan's seven members; a resource shows ``extra_info`` only where it has any."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "resources": [
            {name: value for name, value in resource.items() if name != "extra_info" or value}
            for resource in row.resources
        ],
        "provider_id": row.provider_id,
        "status": row.status,
        "parameters": row.parameters,
    }


def provider(value: Mapping[str, Any]) -> Json:
    """A provider; all four maps of schemas are always there."""
    schemas = value.get("extended_info_schema") or {}
    names = ("options_schema", "restore_schema", "saved_info_schema", "verify_schema")
    return {
        "id": value["id"],
        "name": value["name"],
        "description": value.get("description"),
        "extended_info_schema": {name: schemas.get(name) or {} for name in names},
    }


def instance(value: Mapping[str, Any]) -> Json:
    """A resource that can be protected, and its direct children."""
    return {**_dependent(value), "dependent_resources": [_dependent(child) for child in value["dependent_resources"]]}


def _dependent(value: Mapping[str, Any]) -> Json:
    return {name: value.get(name) for name in ("id", "type", "name", "extra_info")}


def work(operation: models.Operation | None, resources: Sequence[models.OperationResource]) -> Json:
    """How far an operation is and what it cost: additions to the objects of old clients. Sizes and progress in bytes."""
    totals = [row.bytes_total for row in resources]
    known = [total for total in totals if total is not None]
    return {
        "reason": operation.error_info if operation else None,
        "progress": {
            "bytes_done": sum(row.bytes_done for row in resources),
            # A sum that leaves one out would jump when that one is known.
            "bytes_total": sum(known) if known and len(known) == len(totals) else None,
            "resources": {row.resource_key: _resource_work(row) for row in resources},
        },
        **{name: _sum(getattr(row, name) for row in resources) for name in _SIZES},
    }


_SIZES = ("logical_bytes", "new_bytes", "stored_bytes")


def _resource_work(row: models.OperationResource) -> Json:
    names = ("status", "step", "reason", "bytes_done", "bytes_total", *_SIZES)
    return {name: getattr(row, name) for name in names}


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def checkpoint(row: models.Checkpoint, progress: Mapping[str, Any]) -> Json:
    """A checkpoint, with the progress of the operation that created it."""
    shown = {
        "id": row.id,
        "project_id": row.project_id,
        "status": row.status,
        "protection_plan": row.plan,
        "resource_graph": row.resource_graph,
        "created_at": f"{row.created_at:%Y-%m-%d}",
        "timestamp": row.created_at.isoformat(),
        "extra_info": json.dumps(row.extra_info),
        **progress,
    }
    # The row knows these also for checkpoints that another site created.
    shown.update({name: value for name in ("reason", *_SIZES) if (value := getattr(row, name)) is not None})
    return shown


def restore(row: models.Restore, progress: Mapping[str, Any]) -> Json:
    """The restore's nine members and its progress."""
    return {**verification(row, progress), "restore_target": row.restore_target}


def verification(row: models.Restore | models.Verification, progress: Mapping[str, Any]) -> Json:
    """The verification's eight members and its progress."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "provider_id": row.provider_id,
        "checkpoint_id": row.checkpoint_id,
        "parameters": row.parameters or {},
        "status": row.status,
        "resources_status": row.resources_status or {},
        "resources_reason": row.resources_reason or {},
        **progress,
        "reason": row.reason or progress["reason"],
    }


def trigger(row: models.Trigger) -> Json:
    """A trigger; the values of its properties are texts, as clients have always got them."""
    properties = {name: str(value) for name, value in row.properties.items() if value is not None}
    return {"id": row.id, "name": row.name, "type": row.type, "properties": properties}


def scheduled_operation(row: models.ScheduledOperation) -> Json:
    """A scheduled operation; the values of its definition are texts."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "operation_type": row.operation_type,
        "trigger_id": row.trigger_id,
        "operation_definition": {name: str(value) for name, value in row.operation_definition.items()},
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason,
    }


def retention(
    rules: Mapping[str, int], copies: Sequence[models.Checkpoint], decisions: Sequence[domain.Decision]
) -> Json:
    """What retention rules would do with the checkpoints of a plan."""
    made = {row.id: row.created_at.isoformat() for row in copies}
    return {
        "rules": dict(rules),
        "checkpoints": [
            {"id": one.id, "timestamp": made[one.id], "delete": one.delete, "reason": one.reason} for one in decisions
        ],
    }


def operation_log(row: models.Operation) -> Json:
    """The log's twelve members, the verification it belongs to, and what a copy was made of."""
    return {
        "id": row.id,
        "operation_type": row.operation_type,
        "checkpoint_id": row.checkpoint_id,
        "plan_id": row.plan_id,
        "provider_id": row.provider_id,
        "restore_id": row.restore_id,
        "verification_id": row.verification_id,
        "source_checkpoint_id": row.source_checkpoint_id,
        "scheduled_operation_id": row.scheduled_operation_id,
        "status": row.status,
        "started_at": moment(row.started_at or row.created_at),
        "ended_at": moment(row.ended_at),
        "error_info": row.error_info,
        "extra_info": json.dumps(row.extra_info) if row.extra_info is not None else None,
    }


def service(row: models.Service, *, up: bool) -> Json:
    """The service's seven members."""
    return {
        "id": row.id,
        "binary": row.binary,
        "host": row.host,
        "status": row.status,
        "state": "up" if up else "down",
        "updated_at": moment(row.updated_at),
        "disabled_reason": row.disabled_reason,
    }
