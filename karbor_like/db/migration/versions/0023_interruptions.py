"""Table operations: how many attempts ended because the database or a bank was unavailable, or a service stopped."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    ddl.add_column("operations", sa.Column("interruptions", sa.Integer(), nullable=False, server_default="0"))
