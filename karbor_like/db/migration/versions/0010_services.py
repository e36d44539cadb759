"""Table services."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("binary", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("updated_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("binary", "host", name="uq_services_binary_host"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
