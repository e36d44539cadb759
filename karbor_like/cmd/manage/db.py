"""``karbor-like-manage db``: the schema of the database."""

from typing import Any

from oslo_config import cfg

from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.protection.flows import engine


def register(nouns: Any) -> None:
    """Add ``db sync`` and ``db version``."""
    verbs = nouns.add_parser("db", help="the database's schema").add_subparsers(dest="verb", required=True)
    verbs.add_parser("sync", help="bring the schema to the newest version").set_defaults(run=sync)
    verbs.add_parser("version", help="show the schema's version and the newest one").set_defaults(run=version)


def sync(conf: cfg.ConfigOpts) -> int:
    """Bring the schema to the newest version; may run on several hosts at once, and again after an interruption."""
    database = Database(conf)
    migration.sync(database)
    engine.persistence(conf, database).upgrade()
    print(migration.version(database))
    return 0


def version(conf: cfg.ConfigOpts) -> int:
    """Print the schema's version and the newest one. 1 where they differ."""
    found, newest = migration.version(Database(conf)), migration.head()
    print(f"{found or 'none'} (newest: {newest})")
    return 0 if found == newest else 1
