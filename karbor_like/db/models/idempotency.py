"""Requests that carried an ``Idempotency-Key``."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class IdempotencyKey(base.Base):
    """A key and the request it was used for. ``resource_id`` is the id of the new object, fixed before it is created."""

    __tablename__ = "idempotency_keys"

    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId, primary_key=True)
    key: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    fingerprint: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    resource_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime, index=True)
