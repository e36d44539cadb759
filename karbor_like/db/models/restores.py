"""Restores and verifications: requests of tenants that read a checkpoint."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class _Request:
    """Columns of both tables. The keys of mappings are ``Type#id``."""

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    provider_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    checkpoint_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON, default=dict)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="in_progress")
    resources_status: orm.Mapped[dict[str, str]] = orm.mapped_column(sa.JSON, default=dict)
    resources_reason: orm.Mapped[dict[str, str]] = orm.mapped_column(sa.JSON, default=dict)
    reason: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class Restore(_Request, base.Base):
    """A restore. ``restore_target`` is a Keystone URL; its credential is stored in the operation, encrypted.

    A dry run creates nothing: its result is ``plan``.
    """

    __tablename__ = "restores"
    __table_args__ = base.table_args(
        sa.Index("ix_restores_project", "project_id", "created_at", "id"),
        sa.Index("ix_restores_created", "created_at", "id"),
    )

    restore_target: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    dry_run: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())
    #: What a dry run found.
    plan: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    #: The plan that protects what was restored, if the request asked for one.
    restored_plan_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)


class Verification(_Request, base.Base):
    """A verification."""

    __tablename__ = "verifications"
    __table_args__ = base.table_args(
        sa.Index("ix_verifications_project", "project_id", "created_at", "id"),
        sa.Index("ix_verifications_created", "created_at", "id"),
    )
