"""Quotas per project and per class. Usage is counted, never stored."""

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Quota(base.Base):
    """The limit of a project on one resource."""

    __tablename__ = "quotas"

    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId, primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    hard_limit: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)


class QuotaClass(base.Base):
    """The limit of a quota class on one resource."""

    __tablename__ = "quota_classes"

    class_name: orm.Mapped[str] = orm.mapped_column(base.Name, primary_key=True)
    resource: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    hard_limit: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)


class QuotaLock(base.Base):
    """The lock of a project: a row that is locked while objects are counted and one is added."""

    __tablename__ = "quota_locks"

    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId, primary_key=True)
