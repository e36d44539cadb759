"""Requests that carried an ``Idempotency-Key``."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class IdempotencyKey(base.Base):
    """``resource_id`` is the id given to what the request creates, fixed before anything is created."""

    __tablename__ = "idempotency_keys"

    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId, primary_key=True)
    key: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    fingerprint: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    resource_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime, index=True)
