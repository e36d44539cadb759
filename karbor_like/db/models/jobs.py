"""What the services do from time to time, each job once for all of them."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class PeriodicJob(base.Base):
    """``due_at`` is when it is to be done next, by the database's clock; ``owner`` did it last, or does it now."""

    __tablename__ = "periodic_jobs"

    name: orm.Mapped[str] = orm.mapped_column(base.Name, primary_key=True)
    due_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
