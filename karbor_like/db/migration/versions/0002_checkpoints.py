"""Table checkpoints."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("provider_id", sa.String(length=36), nullable=False),
        sa.Column("plan_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("resource_graph", base.LongText, nullable=False),
        sa.Column("extra_info", sa.JSON(), nullable=False),
        sa.Column("logical_bytes", sa.BigInteger(), nullable=True),
        sa.Column("new_bytes", sa.BigInteger(), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.Column("deleted_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_checkpoints_plan", "checkpoints", ["plan_id", "created_at", "id"])
    ddl.create_index("ix_checkpoints_project", "checkpoints", ["project_id", "deleted_at"])
    ddl.create_index("ix_checkpoints_provider", "checkpoints", ["provider_id", "project_id", "created_at", "id"])
