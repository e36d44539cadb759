"""Table triggers."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("next_run_at", base.UTCDateTime(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_triggers_next_run_at", "triggers", ["next_run_at"])
    ddl.create_index("ix_triggers_project", "triggers", ["project_id", "created_at", "id"])
