"""Services: processes that report heartbeats."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Service(base.Base):
    """A service on a host. ``updated_at`` is the time of its last heartbeat.

    ``reports`` has the latest report of each of its processes, see :func:`karbor_like.db.services.beat`.
    """

    __tablename__ = "services"
    __table_args__ = base.table_args(sa.UniqueConstraint("binary", "host", name="uq_services_binary_host"))

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=True)
    binary: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    host: orm.Mapped[str] = orm.mapped_column(sa.String(255))
    status: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="enabled")
    disabled_reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    reports: orm.Mapped[dict[str, dict[str, Any]] | None] = orm.mapped_column(sa.JSON)
