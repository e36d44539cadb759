"""Tables checkpoints and restores: projects of other sites, and the plans that restores bring back."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    ddl.add_column("checkpoints", sa.Column("bank_project_id", sa.String(64), nullable=True))
    ddl.add_column("restores", sa.Column("restored_plan_id", sa.String(36), nullable=True))
