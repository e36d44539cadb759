"""``karbor-like-manage cloud``: what operations created in the cloud and nothing owns any more.

It acts as the service user, and needs the database and the provider files of this installation. The services may run.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from oslo_config import cfg
from rich.console import Console
from rich.table import Table

from karbor_like import exception
from karbor_like.operationengine.trusts import KeystoneTrust, Trusts
from karbor_like.protection import reaper
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.reaper import Reaper, Report, Standing

_HOUR: Final = 3600.0


def register(nouns: Any) -> None:
    """Add ``cloud orphans``."""
    verbs = nouns.add_parser("cloud", help="maintain what operations create in the cloud").add_subparsers(
        dest="verb", required=True
    )
    text = "list the resources and trusts that operations created and nothing owns any more, or delete them"
    finding: argparse.ArgumentParser = verbs.add_parser("orphans", help=text, description=text)
    where = finding.add_mutually_exclusive_group(required=True)
    where.add_argument("--project", action="append", metavar="ID", help="search this project; may be repeated")
    where.add_argument(
        "--all-projects",
        action="store_true",
        help="search all projects that used this installation, and those in which its account has a role",
    )
    finding.add_argument(
        "--older-than",
        type=float,
        default=24.0,
        metavar="HOURS",
        help=f"age from which a resource may be orphaned, at least {reaper.YOUNGEST / _HOUR:g} (default: %(default)g)",
    )
    finding.add_argument(
        "--delete", action="store_true", help="delete the resources of operations that have ended; default: only list"
    )
    finding.add_argument(
        "--unknown",
        action="store_true",
        help="with --delete: also delete those of operations that the database does not know. Another installation that"
        " uses the same cloud may own them",
    )
    finding.add_argument("-f", "--format", choices=("table", "json"), default="table", help="output format")
    finding.set_defaults(run=orphans)


def orphans(conf: cfg.ConfigOpts) -> int:
    """List orphaned resources and trusts, and delete them with ``--delete``.

    :returns: exit code: 0 if everything was searched, and deleted that was to be; 1 if not
    """
    args = conf.command
    if args.unknown and not args.delete:
        raise exception.InvalidInput("--unknown is an addition to --delete")
    env = ServiceContext.make(conf)
    with contextlib.closing(env):
        wanted = {Standing.ENDED, *([Standing.UNKNOWN] if args.unknown else [])} if args.delete else ()
        search = Reaper(env, older_than=args.older_than * _HOUR, delete=wanted)
        accessible = reaper.find_accessible(env) if args.all_projects else args.project
        known = reaper.find_projects(env) if args.all_projects else ()
        projects = sorted({*accessible, *known})
        report = search.run(projects)
        _trusts(env, projects, args.unknown, report)
    if args.format == "json":
        _print_json(report)
    else:
        _print_table(report, args.delete)
    return 0 if report.is_complete else 1


def _trusts(env: ServiceContext, projects: Sequence[str], delete: bool, report: Report) -> None:
    """Add the trusts to *report*. Keystone does not say when they were created, but none is here that has no row."""
    trusts = Trusts(env.database, env.clients, env.cipher, pause=0)
    try:
        found = [trust for trust in trusts.unknown() if trust.project_id in projects]
    except exception.KarborLikeError as error:
        report.problems.append(f"trusts not searched: {exception.public_text(error)}")
        return
    for trust in found:
        finding = reaper.Finding(trust.project_id, "trust", _mark(trust), Standing.UNKNOWN)
        if delete:
            try:
                if not trusts.delete_unknown(trust):
                    continue
                finding = finding.after()
            except exception.KarborLikeError as error:
                finding = finding.after(exception.public_text(error))
        report.findings.append(finding)


def _mark(trust: KeystoneTrust) -> reaper.Mark:
    return reaper.Mark(trust.id, f"of user {trust.user_id}", "", None)


def _print_json(report: Report) -> None:
    body = {
        "orphans": [finding.to_dict() for finding in report.findings],
        "owned": report.owned,
        "problems": report.problems,
    }
    print(json.dumps(body, indent=2))


def _print_table(report: Report, delete: bool) -> None:
    table = Table("project", "type", "id", "name", "created", "standing", "result", box=None, pad_edge=False)
    for finding in report.findings:
        row = finding.to_dict()
        result = "deleted" if finding.is_deleted else finding.problem or ("kept" if delete else "")
        created = (row["created_at"] or "unknown")[:19]
        cells = (row["project_id"], row["type"], row["id"], row["name"], created, row["standing"], result)
        table.add_row(*map(_plain, cells))
    # Do not wrap lines in a pipe, so that grep finds them.
    Console(width=None if sys.stdout.isatty() else 10_000, markup=False).print(table)
    left = sum(not finding.is_deleted for finding in report.findings)
    print(f"{len(report.findings) - left} deleted, {left} remain; {report.owned} others have an owner or are too young")
    for problem in report.problems:
        print(_plain(problem), file=sys.stderr)


def _plain(text: str) -> str:
    """Return a tenant's text without what controls a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
