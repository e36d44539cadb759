"""Alembic environment, run only by :mod:`karbor_like.db.migration`, which passes an open connection."""

from alembic import context

from karbor_like.db import migration
from karbor_like.db.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=migration.VERSION_TABLE,
    # TaskFlow keeps its tables, and its own alembic_version, in the same database.
    include_name=lambda name, kind, parents: kind != "table" or name in Base.metadata.tables,
    render_as_batch=True,
    # SQLite supports transactional DDL, though Alembic does not use it by default. Its write lock serializes migrations.
    transactional_ddl=connection.dialect.name in ("sqlite", "postgresql"),
)
with context.begin_transaction():
    context.run_migrations()
