"""Table restores: dry runs, and the plans that they find."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    ddl.add_column("restores", sa.Column("dry_run", sa.Boolean(), nullable=False, server_default=sa.false()))
    ddl.add_column("restores", sa.Column("plan", sa.JSON(), nullable=True))
