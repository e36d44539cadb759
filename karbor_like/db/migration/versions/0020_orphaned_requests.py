"""Tables restores and verifications: fail rows without an operation, which earlier releases wrote before they queued one."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_REASON = "the request was lost before its operation was queued; send it again"


def upgrade() -> None:
    operations = sa.table("operations", sa.column("restore_id"), sa.column("verification_id"))
    for table, link in (("restores", operations.c.restore_id), ("verifications", operations.c.verification_id)):
        rows = sa.table(table, sa.column("id"), sa.column("status"), sa.column("reason"))
        queued = sa.select(link).where(link == rows.c.id).exists()
        orphaned = sa.and_(rows.c.status == "in_progress", ~queued)
        op.execute(sa.update(rows).where(orphaned).values(status="fail", reason=_REASON))
