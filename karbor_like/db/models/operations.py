"""Operations of the protection service. One row is the queue entry, the claim and the operation log."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like.db.models import base


class Operation(base.Base):
    """One protect, restore, delete, verify or copy.

    ``queue_state`` is the state in the queue (queued, running, done); ``status`` is the status that the API shows. ``epoch``
    is the fencing token: every claim increases it, and a process that acts for an older one has lost the operation.
    ``lease_until`` is measured by the database's clock. ``attempts`` counts the claims, ``interruptions`` those that ended
    although their process lived: the database or a bank was unavailable, or the service was stopped. In a copy,
    ``checkpoint_id`` is the new checkpoint and ``source_checkpoint_id`` its source. ``credential`` is the owner's identity,
    encrypted (``karbor_like.secret``), and ``trust_fingerprint`` the fingerprint of the trust in it, if any.
    """

    __tablename__ = "operations"
    __table_args__ = base.table_args(
        sa.Index("ix_operations_project", "project_id", "created_at", "id"),
        sa.Index("ix_operations_created", "created_at", "id"),
        sa.Index("ix_operations_state", "state", "lease_until"),
        sa.Index("ix_operations_checkpoint", "checkpoint_id"),
        sa.Index("ix_operations_source", "source_checkpoint_id"),
        sa.Index("ix_operations_restore", "restore_id"),
        sa.Index("ix_operations_verification", "verification_id"),
        sa.Index("ix_operations_trust", "trust_fingerprint"),
    )

    id: orm.Mapped[str] = orm.mapped_column(base.Id, primary_key=True, default=base.new_id)
    operation_type: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    project_id: orm.Mapped[str] = orm.mapped_column(base.ProjectId)
    user_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    provider_id: orm.Mapped[str] = orm.mapped_column(base.Id)
    plan_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    checkpoint_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    source_checkpoint_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    restore_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    verification_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    scheduled_operation_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    parameters: orm.Mapped[dict[str, Any]] = orm.mapped_column(sa.JSON, default=dict)
    credential: orm.Mapped[str | None] = orm.mapped_column(base.LongText)
    trust_fingerprint: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    flow_id: orm.Mapped[str | None] = orm.mapped_column(base.Id)
    queue_state: orm.Mapped[str] = orm.mapped_column("state", sa.String(16), default="queued")
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    owner: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    epoch: orm.Mapped[int] = orm.mapped_column(default=0)
    lease_until: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    attempts: orm.Mapped[int] = orm.mapped_column(default=0)
    interruptions: orm.Mapped[int] = orm.mapped_column(server_default="0")
    cancel_requested: orm.Mapped[bool] = orm.mapped_column(default=False)
    error_info: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    extra_info: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    created_at: orm.Mapped[datetime] = orm.mapped_column(base.UTCDateTime)
    started_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)
    ended_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class OperationResource(base.Base):
    """Progress of one resource of an operation. Sizes are in bytes, None until known."""

    __tablename__ = "operation_resources"

    operation_id: orm.Mapped[str] = orm.mapped_column(
        base.Id, sa.ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    resource_key: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="queued")
    step: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    reason: orm.Mapped[str | None] = orm.mapped_column(base.Reason)
    result_key: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    bytes_done: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, default=0)
    bytes_total: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    logical_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    new_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    stored_bytes: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    updated_at: orm.Mapped[datetime | None] = orm.mapped_column(base.UTCDateTime)


class JournalEntry(base.Base):
    """An object that an operation creates in a cloud, recorded before the request is sent (see ``plugins/protection.py``)."""

    __tablename__ = "journal_entries"
    __table_args__ = base.table_args(sa.Index("ix_journal_entries_seq", "operation_id", "seq"))

    operation_id: orm.Mapped[str] = orm.mapped_column(
        base.Id, sa.ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    resource_key: orm.Mapped[str] = orm.mapped_column(sa.String(255), primary_key=True)
    role: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    seq: orm.Mapped[int] = orm.mapped_column()
    name: orm.Mapped[str] = orm.mapped_column(base.Name)
    cloud_id: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    keep: orm.Mapped[bool] = orm.mapped_column(default=False)
    gone: orm.Mapped[bool] = orm.mapped_column(default=False)
