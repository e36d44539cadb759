"""Table quota_locks."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "quota_locks",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("project_id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
