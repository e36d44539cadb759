"""Checkpoints in the database: an index of the banks, sufficient for lists, filters and quotas."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Checkpoint(base.Base):
    """A checkpoint. The bank is the source of truth.

    ``plan`` is the API's ``protection_plan``. Sizes are in bytes, None until known. ``bank_project_id`` is the project whose
    checkpoint it is in the bank, if an operator has mapped that to the project here; None: the same one.
    """

    __tablename__ = "checkpoints"
    __table_args__ = base.table_args(
        sa.Index("ix_checkpoints_provider", "provider_id", "project_id", "created_at", "id"),
        sa.Index("ix_checkpoints_plan", "plan_id", "created_at", "id"),
        sa.Index("ix_checkpoints_project", "project_id", "deleted_at"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    bank_project_id: orm.Mapped[str | None] = orm.mapped_column(base.ProjectId)
    provider_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    plan_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    reason: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    plan: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    resource_graph: orm.Mapped[str] = orm.mapped_column(base.LongText)
    extra_info: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    logical_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    new_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    stored_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    deleted_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)

    @property
    def bank_project(self) -> str:
        """The project of the checkpoint in the bank, by which everything of it is read there."""
        return self.bank_project_id or self.project_id
