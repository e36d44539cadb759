"""Table trusts: the time from which a trust is unused and waits to be deleted in Keystone."""

import sqlalchemy as sa

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    ddl.add_column("trusts", sa.Column("released_at", base.UTCDateTime(), nullable=True))
