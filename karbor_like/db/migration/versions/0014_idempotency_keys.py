"""Table idempotency_keys."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
