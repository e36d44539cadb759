"""Plans: lists of resources that a tenant protects together."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Plan(base.Base):
    """A plan. ``resources`` is a list of type, id, name, extra_info; ``parameters`` has keys ``Type`` or ``Type#id``.

    ``rpo_state`` is ``violated`` while the last good checkpoint of a scheduled plan is too old, ``met`` after that, and None
    before.
    """

    __tablename__ = "plans"
    __table_args__ = base.table_args(
        sa.Index("ix_plans_project", "project_id", "created_at", "id"),
        sa.Index("ix_plans_created", "created_at", "id"),
        sa.Index("ix_plans_rpo", "rpo_state", "project_id"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    name: orm.Mapped[str] = orm.mapped_column(base.Name)
    description: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    provider_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="suspended")
    resources: orm.Mapped[list[dict[str, Any]]] = orm.mapped_column(sa.JSON)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON)
    rpo_state: orm.Mapped[str | None] = orm.mapped_column(sa.String(16))
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
