"""Table operation_resources."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "operation_resources",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("resource_key", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("step", sa.String(length=255), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("result_key", sa.String(length=255), nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=True),
        sa.Column("logical_bytes", sa.BigInteger(), nullable=True),
        sa.Column("new_bytes", sa.BigInteger(), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("operation_id", "resource_key"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
