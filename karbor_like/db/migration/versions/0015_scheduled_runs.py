"""Table scheduled_runs."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "scheduled_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("scheduled_operation_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("due_at", base.UTCDateTime(), nullable=False),
        sa.Column("window_ends_at", base.UTCDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.String(length=36), nullable=True),
        sa.Column("next_look_at", base.UTCDateTime(), nullable=True),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("lease_until", base.UTCDateTime(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("ended_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("scheduled_operation_id", "due_at", name="uq_scheduled_runs_operation_due"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_scheduled_runs_state", "scheduled_runs", ["state", "next_look_at"])
    ddl.create_index("ix_scheduled_runs_project", "scheduled_runs", ["project_id", "created_at", "id"])
