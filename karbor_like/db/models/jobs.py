"""Periodic jobs that one service process runs on behalf of all."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class PeriodicJob(base.Base):
    """A periodic job. ``due_at`` is its next due time by the database's clock; ``owner`` ran it last, or runs it now.

    ``done_at`` is when it last succeeded; None if that is unknown. ``result`` is what it last found out, at ``result_at``.
    """

    __tablename__ = "periodic_jobs"

    name: orm.Mapped[str] = orm.mapped_column(base.Name, primary_key=True)
    due_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    done_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    result: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    result_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
