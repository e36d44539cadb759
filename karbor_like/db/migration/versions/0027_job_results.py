"""Table periodic_jobs: what a job has found out, and when."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    ddl.add_column("periodic_jobs", sa.Column("result", sa.JSON(), nullable=True))
    ddl.add_column("periodic_jobs", sa.Column("result_at", base.UTCDateTime(), nullable=True))
