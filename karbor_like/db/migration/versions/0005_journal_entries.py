"""Table journal_entries."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("resource_key", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("cloud_id", sa.String(length=255), nullable=True),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("operation_id", "resource_key", "role"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
