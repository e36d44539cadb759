"""Table schedule_trusts replaces trusts: each new scheduled operation has one."""

import sqlalchemy as sa
from alembic import op

from karbor_like.db.migration import ddl
from karbor_like.db.models import base

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "schedule_trusts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("keystone_id", sa.Text(), nullable=True),
        sa.Column("created_at", base.UTCDateTime(), nullable=False),
        sa.Column("released_at", base.UTCDateTime(), nullable=True),
        sa.Column("next_attempt_at", base.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **base.Base.__table_args__,
        if_not_exists=True,
    )
    ddl.create_index("ix_schedule_trusts_attempt", "schedule_trusts", ["next_attempt_at"])
    ddl.add_column("scheduled_operations", sa.Column("trust_id", sa.String(length=36), nullable=True))
    ddl.add_column("scheduled_runs", sa.Column("trust_id", sa.String(length=36), nullable=True))
    ddl.add_column("operations", sa.Column("trust_fingerprint", sa.String(length=64), nullable=True))
    ddl.create_index("ix_operations_trust", "operations", ["trust_fingerprint"])
    if "trusts" in sa.inspect(op.get_bind()).get_table_names():
        _move_rows()
        op.drop_table("trusts")


def _move_rows() -> None:
    """Move the trusts to the new table. Repeatable until the old table is dropped."""
    connection = op.get_bind()
    kinds = {"created_at": base.UTCDateTime(), "released_at": base.UTCDateTime()}
    owner = ("user_id", "project_id")
    old = sa.table("trusts", *(sa.column(name, kinds.get(name)) for name in (*owner, "trust_id", *kinds)))
    names = (*owner, "id", "keystone_id", *kinds, "next_attempt_at")
    new = sa.table(
        "schedule_trusts", *(sa.column(name, base.UTCDateTime() if "_at" in name else None) for name in names)
    )
    scheduled = sa.table("scheduled_operations", *(sa.column(name) for name in (*owner, "trust_id")))
    operations = sa.table("operations", sa.column("credential"), sa.column("trust_fingerprint"))
    connection.execute(sa.delete(new))
    for row in connection.execute(sa.select(old)).all():
        trust_id = base.new_id()
        users = sa.update(scheduled).where(scheduled.c.user_id == row.user_id, scheduled.c.project_id == row.project_id)
        used = connection.execute(users.values(trust_id=trust_id)).rowcount
        # The engines delete the trusts that no operation uses.
        released = (row.released_at or row.created_at) if row.released_at or not used else None
        values = {"user_id": row.user_id, "project_id": row.project_id, "created_at": row.created_at}
        values |= {"id": trust_id, "keystone_id": row.trust_id, "released_at": released, "next_attempt_at": released}
        connection.execute(sa.insert(new).values(values))
    with_credential = sa.update(operations).where(operations.c.credential.is_not(None))
    connection.execute(with_credential.values(trust_fingerprint="unknown"))
