"""Table plans."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("provider_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_plans_project", "plans", ["project_id", "created_at", "id"])
