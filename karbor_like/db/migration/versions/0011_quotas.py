"""Table quotas."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
