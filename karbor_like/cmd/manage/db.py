"""``karbor-like-manage db``: the schema of the database, and removal of old rows."""

import argparse
import json
import re
from dataclasses import asdict
from typing import Any

from oslo_config import cfg

from karbor_like.db import migration
from karbor_like.db.purge import purge as purge_rows
from karbor_like.db.session import Database
from karbor_like.protection.workflow import engine

_MAX_DAYS = 36500


def register(nouns: Any) -> None:
    """Add ``db sync``, ``db version`` and ``db purge``."""
    verbs = nouns.add_parser("db", help="the database").add_subparsers(dest="verb", required=True)
    verbs.add_parser("sync", help="upgrade the schema to the newest version").set_defaults(run=sync)
    verbs.add_parser("version", help="show the version of the schema and the newest one").set_defaults(run=version)
    purging = verbs.add_parser("purge", help="remove rows of objects that were deleted or ended long ago")
    purging.add_argument("--older-than", type=_days, required=True, metavar="DAYS", help="minimum age in whole days")
    purging.add_argument("--dry-run", action="store_true", help="count the rows, but remove nothing")
    purging.add_argument("--format", choices=("table", "json"), default="table", help="output format")
    purging.set_defaults(run=purge)


def _days(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= _MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of days from 1 to {_MAX_DAYS}")
    return int(text)


def sync(conf: cfg.ConfigOpts) -> int:
    """Upgrade the schema to the newest version. Idempotent; several hosts may run it concurrently."""
    Database(conf).ping()  # within the usual time
    database = Database(conf, conf.database.migration_timeout)
    migration.sync(database)
    engine.persistence(conf, database).upgrade()
    print(migration.version(database))
    return 0


def version(conf: cfg.ConfigOpts) -> int:
    """Print the version of the schema and the newest one.

    :returns: exit code, 1 if they differ
    """
    current, newest = migration.version(Database(conf)), migration.head()
    print(f"{current or 'none'} (newest: {newest})")
    return 0 if current == newest else 1


def purge(conf: cfg.ConfigOpts) -> int:
    """Remove old rows and print their numbers by table."""
    args = conf.command
    database = Database(conf)
    report = asdict(purge_rows(database, args.older_than, dry_run=args.dry_run))
    database.dispose()
    if args.format == "json":
        print(json.dumps({"dry_run": args.dry_run, **report}, indent=2))
    else:
        for name, count in report.items():
            print(f"{name:<18}{count:>10}")
    return 0
