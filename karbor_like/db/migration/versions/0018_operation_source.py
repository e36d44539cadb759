"""Table operations: the source checkpoint of a copy."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    ddl.add_column("operations", sa.Column("source_checkpoint_id", sa.String(length=36), nullable=True))
    ddl.create_index("ix_operations_source", "operations", ["source_checkpoint_id"])
