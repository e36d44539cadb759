"""Table quota_classes."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "quota_classes",
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("class_name", "resource"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
