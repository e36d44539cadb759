"""Objects of the REST API, built from rows and from results of the protection service."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from karbor_like.db import models, plans, protected, queues, services
from karbor_like.domain import left_out, planned, states
from karbor_like.domain import retention as domain

Json = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    """Format a time in UTC with microseconds and without a zone, as old clients parse it."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def plan(row: models.Plan, last_checkpoint: datetime | None) -> Json:
    """Return a plan. A resource without ``extra_info`` lacks the member.

    :param last_checkpoint: time of its newest available checkpoint
    """
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
        "last_checkpoint_at": moment(last_checkpoint),
        "rpo_violated": row.rpo_state == plans.VIOLATED,
    }


def provider(value: Mapping[str, Any]) -> Json:
    """Return a provider, always with all four maps of schemas."""
    schemas = value.get("extended_info_schema") or {}
    names = ("options_schema", "restore_schema", "saved_info_schema", "verify_schema")
    return {
        "id": value["id"],
        "name": value["name"],
        "description": value.get("description"),
        "extended_info_schema": {name: schemas.get(name) or {} for name in names},
    }


def instance(value: Mapping[str, Any]) -> Json:
    """Return a resource that can be protected, with its direct children."""
    return {**_dependent(value), "dependent_resources": [_dependent(child) for child in value["dependent_resources"]]}


def protected_instance(value: Mapping[str, Any], last: protected.LastCheckpoint | None) -> Json:
    """Return a resource with its last checkpoint, if it is protected."""
    checkpoint = {**dataclasses.asdict(last), "created_at": moment(last.created_at)} if last else None
    return {**instance(value), "protected": last is not None, "last_checkpoint": checkpoint}


def _dependent(value: Mapping[str, Any]) -> Json:
    return {name: value.get(name) for name in ("id", "type", "name", "extra_info")}


def progress(
    operation: models.Operation | None,
    resources: Sequence[models.OperationResource],
    position: queues.Position | None = None,
) -> Json:
    """Return the progress and sizes of an operation in bytes. These members are unknown to old clients.

    :param position: its position in the queue, if it waits there
    """
    contained = [row for row in resources if row.status != states.LEFT_OUT]
    totals = [row.bytes_total for row in contained]
    known = [total for total in totals if total is not None]
    return {
        "reason": operation.error_info if operation else None,
        "progress": {
            "bytes_done": sum(row.bytes_done for row in contained),
            # Null until all are known: a partial sum would jump.
            "bytes_total": sum(known) if known and len(known) == len(totals) else None,
            "resources": {row.resource_key: _resource_progress(row) for row in resources},
            **({"queue": {"position": position.position, "length": position.length}} if position else {}),
        },
        **{name: _sum(getattr(row, name) for row in contained) for name in _SIZES},
    }


_SIZES = ("logical_bytes", "new_bytes", "stored_bytes")


def _resource_progress(row: models.OperationResource) -> Json:
    names = ("status", "step", "reason", "bytes_done", "bytes_total", *_SIZES)
    return {**{name: getattr(row, name) for name in names}, "result": row.result_key}


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def checkpoint(row: models.Checkpoint, progress: Mapping[str, Any]) -> Json:
    """Return a checkpoint with the progress of the operation that created it."""
    shown = {
        "id": row.id,
        "project_id": row.project_id,
        "status": row.status,
        "protection_plan": planned.shown(row.plan),
        "left_out": left_out.entries(row.plan),
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
    """Return a restore with the progress of its operation."""
    shown = {"restore_target": row.restore_target, "dry_run": row.dry_run, "plan": row.plan}
    shown |= {"restored_plan_id": row.restored_plan_id}
    return {**verification(row, progress), **shown}


def verification(row: models.Restore | models.Verification, progress: Mapping[str, Any]) -> Json:
    """Return a verification with the progress of its operation."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "provider_id": row.provider_id,
        "checkpoint_id": row.checkpoint_id,
        "parameters": row.parameters or {},
        "status": row.status,
        **_results(row, progress),
        **progress,
        "reason": row.reason or progress["reason"],
    }


def _results(row: models.Restore | models.Verification, progress: Mapping[str, Any]) -> Json:
    """Return the statuses and reasons of the resources; those of a restore that runs by the new ones, as far as they exist.

    The end of the operation writes them to the row. Until then they are taken from the progress: to write all of them at each
    change would take time quadratic in their number.
    """
    if row.status != states.IN_PROGRESS and row.resources_status:
        return {"resources_status": row.resources_status, "resources_reason": row.resources_reason}
    listed = {
        each["result"] or key: each
        for key, each in progress["progress"]["resources"].items()
        if each["result"] or not isinstance(row, models.Restore)
    }
    return {
        "resources_status": {key: each["status"] for key, each in listed.items()},
        "resources_reason": {key: each["reason"] or "" for key, each in listed.items()},
    }


def trigger(row: models.Trigger) -> Json:
    """Return a trigger. The values of its properties are texts, as clients expect."""
    properties = {name: str(value) for name, value in row.properties.items() if value is not None}
    return {"id": row.id, "name": row.name, "type": row.type, "properties": properties}


def timed(shown: Json, times: Sequence[datetime] | None) -> Json:
    """Return a trigger or a scheduled operation with its next due times; None: they are unknown."""
    return {**shown, "next_runs": None if times is None else [moment(time) for time in times]}


def scheduled_operation(row: models.ScheduledOperation) -> Json:
    """Return a scheduled operation. The values of its definition are texts."""
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


def run(row: models.ScheduledRun) -> Json:
    """Return a run of a scheduled operation."""
    return {
        "id": row.id,
        "scheduled_operation_id": row.scheduled_operation_id,
        "status": row.state,
        "reason": row.reason,
        "due_at": moment(row.due_at),
        "checkpoint_id": row.checkpoint_id,
    }


def retention(
    rules: Mapping[str, int], rows: Sequence[models.Checkpoint], decisions: Sequence[domain.Decision]
) -> Json:
    """Return what retention rules would do with the checkpoints of a plan."""
    created_at = {row.id: row.created_at.isoformat() for row in rows}
    return {
        "rules": dict(rules),
        "checkpoints": [
            {
                "id": decision.id,
                "timestamp": created_at[decision.id],
                "delete": decision.delete,
                "reason": decision.reason,
            }
            for decision in decisions
        ],
    }


def operation_log(row: models.Operation) -> Json:
    """Return an operation log. Old clients do not know ``verification_id`` and ``source_checkpoint_id``."""
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
    """Return a service.

    :param up: whether it sends heartbeats
    """
    hung = services.hung(row)
    return {
        "id": row.id,
        "binary": row.binary,
        "host": row.host,
        "status": row.status,
        # Clients know no third state. A host with a process that hangs needs attention, even if another process works.
        "state": "up" if up and not hung else "down",
        "state_reason": "; ".join(hung) or None,
        "updated_at": moment(row.updated_at),
        "disabled_reason": row.disabled_reason,
    }
