"""Triggers, scheduled operations, their runs, and trusts."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Trigger(base.Base):
    """A trigger. ``next_run_at`` is its next due time, or None if it never fires again.

    Engines find due triggers by ``next_run_at`` and claim them by compare-and-set of it.
    """

    __tablename__ = "triggers"
    __table_args__ = base.table_args(
        sa.Index("ix_triggers_project", "project_id", "created_at", "id"),
        sa.Index("ix_triggers_created", "created_at", "id"),
        sa.Index("ix_triggers_next_run_at", "next_run_at"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    name: orm.Mapped[str] = orm.mapped_column(base.Name)
    type: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    properties: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    next_run_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class ScheduledOperation(base.Base):
    """A scheduled operation. ``disabled_reason`` is set if the engine disabled it, such as after its trust was revoked."""

    __tablename__ = "scheduled_operations"
    __table_args__ = base.table_args(
        sa.Index("ix_scheduled_operations_project", "project_id", "created_at", "id"),
        sa.Index("ix_scheduled_operations_created", "created_at", "id"),
        sa.Index("ix_scheduled_operations_trigger", "trigger_id"),
        sa.Index("ix_scheduled_operations_plan", "plan_id"),
        sa.Index("ix_scheduled_operations_user", "user_id", "project_id"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    name: orm.Mapped[str] = orm.mapped_column(base.Name)
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    operation_type: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    trigger_id: orm.Mapped[str] = orm.mapped_column(base.Id, sa.ForeignKey("triggers.id"))
    plan_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    operation_definition: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    #: The trust by which its runs act. Operations of a user that an earlier release created share one.
    trust_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class ScheduledRun(base.Base):
    """One due time of one scheduled operation. The pair is unique, and the run is recorded before the API is called.

    ``state`` is started, succeeded, failed, missed (found after its window), or skipped (the previous run had not ended).
    ``next_look_at`` is the time of the next step: call the API, follow the checkpoint, or retry. ``trust_id`` is set during a
    step, which acts by that trust.
    """

    __tablename__ = "scheduled_runs"
    __table_args__ = base.table_args(
        sa.UniqueConstraint("scheduled_operation_id", "due_at", name="uq_scheduled_runs_operation_due"),
        sa.Index("ix_scheduled_runs_state", "state", "next_look_at"),
        sa.Index("ix_scheduled_runs_project", "project_id", "created_at", "id"),
        sa.Index("ix_scheduled_runs_ended", "ended_at"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    scheduled_operation_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    due_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    window_ends_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    reason: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    attempt: orm.Mapped[int] = orm.mapped_column(default=0)
    checkpoint_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    next_look_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    trust_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    epoch: orm.Mapped[int] = orm.mapped_column(default=0)
    lease_until: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    ended_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class Trust(base.Base):
    """A Keystone trust by which the engine acts for a user in a project. ``keystone_id`` is encrypted.

    ``keystone_id`` is None until Keystone has created the trust. From ``released_at`` on, no scheduled operation has the
    trust. Then it is deleted as soon as nothing uses it; ``next_attempt_at`` is the time of the next attempt. The row is
    removed after the trust.
    """

    __tablename__ = "schedule_trusts"
    __table_args__ = base.table_args(sa.Index("ix_schedule_trusts_attempt", "next_attempt_at"))

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    user_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    keystone_id: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    released_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    next_attempt_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
