"""Table scheduled_operations."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "scheduled_operations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("operation_type", sa.String(length=64), nullable=False),
        sa.Column("trigger_id", sa.String(length=36), nullable=False),
        sa.Column("plan_id", sa.String(length=36), nullable=False),
        sa.Column("operation_definition", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["trigger_id"],
            ["triggers.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_scheduled_operations_project", "scheduled_operations", ["project_id", "created_at", "id"])
    ddl.create_index("ix_scheduled_operations_plan", "scheduled_operations", ["plan_id"])
    ddl.create_index("ix_scheduled_operations_user", "scheduled_operations", ["user_id", "project_id"])
    ddl.create_index("ix_scheduled_operations_trigger", "scheduled_operations", ["trigger_id"])
