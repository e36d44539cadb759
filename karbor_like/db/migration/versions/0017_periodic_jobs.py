"""Table periodic_jobs."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.models import base

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "periodic_jobs",
        sa.Column("name", base.Name, nullable=False),
        sa.Column("due_at", base.UTCDateTime(), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
