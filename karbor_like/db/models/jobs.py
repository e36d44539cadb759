"""Periodic jobs that one service process runs on behalf of all."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class PeriodicJob(base.Base):
    """A periodic job. ``due_at`` is its next due time by the database's clock; ``owner`` ran it last, or runs it now.

    ``done_at`` is when it last succeeded; None if that is unknown.
    """

    __tablename__ = "periodic_jobs"

    name: orm.Mapped[str] = orm.mapped_column(base.Name, primary_key=True)
    due_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    done_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
