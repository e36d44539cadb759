"""Table operations."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("operation_type", sa.String(length=32), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("provider_id", sa.String(length=36), nullable=False),
        sa.Column("plan_id", sa.String(length=36), nullable=True),
        sa.Column("checkpoint_id", sa.String(length=36), nullable=True),
        sa.Column("restore_id", sa.String(length=36), nullable=True),
        sa.Column("verification_id", sa.String(length=36), nullable=True),
        sa.Column("scheduled_operation_id", sa.String(length=36), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("credential", base.LongText, nullable=True),
        sa.Column("flow_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", base.UTCDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error_info", sa.Text(), nullable=True),
        sa.Column("extra_info", sa.JSON(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("started_at", base.UTCDateTime(), nullable=True),
        sa.Column("ended_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_operations_checkpoint", "operations", ["checkpoint_id"])
    ddl.create_index("ix_operations_project", "operations", ["project_id", "created_at", "id"])
    ddl.create_index("ix_operations_restore", "operations", ["restore_id"])
    ddl.create_index("ix_operations_state", "operations", ["state", "lease_until"])
    ddl.create_index("ix_operations_verification", "operations", ["verification_id"])
