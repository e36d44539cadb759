"""Table trusts."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "trusts",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("trust_id", sa.Text(), nullable=False),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "project_id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
