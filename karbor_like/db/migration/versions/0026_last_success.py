"""Tables periodic_jobs and plans: when a job last succeeded, and whether the last good checkpoint of a plan is too old."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    ddl.add_column("periodic_jobs", sa.Column("done_at", base.UTCDateTime(), nullable=True))
    ddl.add_column("plans", sa.Column("rpo_state", sa.String(16), nullable=True))
