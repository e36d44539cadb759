"""Table services: what the processes of a service report of themselves."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    ddl.add_column("services", sa.Column("reports", sa.JSON(), nullable=True))
