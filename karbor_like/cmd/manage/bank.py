"""``karbor-like-manage bank``: maintenance of banks.

Every verb takes a provider file, or the id or name of a provider of this installation, and accesses its bank only. No service
needs to run, and only ``reindex`` uses the database. Progress is shown on the terminal; results go to standard output.
"""

import argparse
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from oslo_config import cfg
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from karbor_like import exception, service
from karbor_like.bank import Bank, errors, open_bank
from karbor_like.bank import verify as bank_verify
from karbor_like.bank.collector import Collector, collect_stats
from karbor_like.clock import SystemClock
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.protection.registry import provider_file, providers
from karbor_like.protection.sync import Sync
from karbor_like.rpc import notifications


def register(nouns: Any) -> None:
    """Add the verbs of banks."""
    verbs = nouns.add_parser("bank", help="maintain banks").add_subparsers(dest="verb", required=True)
    _verb(verbs, "gc", gc, "delete data that no checkpoint needs").add_argument(
        "--dry-run", action="store_true", help="show what would be deleted, and why not more; change nothing"
    )
    verifying = _verb(verbs, "verify", verify, "check that all data is present and undamaged")
    verifying.add_argument(
        "--level",
        choices=("scrub", "quick", "full"),
        default="quick",
        help="scrub: compare every pack with its checksum, without keys; quick: check that every object that checkpoints"
        " need is present; full: read everything and compare it with its hashes (default: %(default)s)",
    )
    verifying.add_argument(
        "--checkpoint", action="append", metavar="ID", help="verify only this one; may be repeated; not with scrub"
    )
    _verb(verbs, "stats", stats, "show sizes and counts by project")
    exporting = _verb(verbs, "export", export, "restore a stream to a file, using only the bank and the master key")
    exporting.add_argument("checkpoint", help="id of the checkpoint")
    exporting.add_argument("resource", nargs="?", help="Type#id of the resource; if absent, list all streams")
    exporting.add_argument("output", nargs="?", default="-", help="file to write; '-' (default) is standard output")
    exporting.add_argument("--name", dest="stream", help="name of the stream, if the resource has several")
    indexing = _verb(
        verbs, "reindex", reindex, "update the index of the bank and the database from the checkpoints in the bank"
    )
    indexing.add_argument(
        "--force",
        action="store_true",
        help="continue even if most of the checkpoints are missing in the bank, and mark them as deleted",
    )
    _verb(verbs, "rotate-keys", rotate_keys, "wrap all data keys with the first master key").add_argument(
        "--remove-old", action="store_true", help="also delete the keys that other master keys have wrapped"
    )


def _verb(verbs: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("provider", help="provider file, or the id or name of a provider of this installation")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")
    parser.set_defaults(run=run)
    return parser


# Verbs


def gc(conf: cfg.ConfigOpts) -> int:
    """Run a garbage collection, or plan one.

    :returns: exit code, 1 if any project was skipped
    """
    with _bank(conf) as bank, _progress() as progress:
        steps = {stage: progress.add_task(title, total=None, start=False) for stage, title in _STAGES.items()}

        def show(stage: str, done: int, total: int | None) -> None:
            progress.start_task(steps[stage])
            progress.update(steps[stage], completed=done, total=total)

        collector = Collector(bank)
        report = collector.plan(show) if conf.command.dry_run else collector.run(show)
    body = report.to_dict()
    if conf.command.format == "json":
        return _print_json(body)
    rows = [(name, *_amount(body[name])) for name in ("live", "mostly_dead", "reclaimed", "quarantined")]
    if report.dry_run:
        rows[2] = ("reclaimable now", *rows[2][1:])
    _print_table(("", "objects", "bytes"), [(name.replace("_", " "), *rest) for name, *rest in rows])
    waiting = [(item["reason"], item["until"] or "?", *_amount(item)) for item in body["waiting"]]
    if waiting:
        _print_table(("not in use, but", "until", "objects", "bytes"), waiting)
    cleared = [(name.replace("_", " "), str(count)) for name, count in body["leftovers"].items() if count]
    if cleared:
        _print_table(("remains of crashes and deletions", "number"), cleared)
    for project_id, problem in body["problems"].items():
        print(f"project {project_id}: skipped: {problem}", file=sys.stderr)
    return 1 if body["problems"] else 0


_STAGES = {"mark": "reading manifests", "sweep": "examining projects", "delete": "deleting"}


def verify(conf: cfg.ConfigOpts) -> int:
    """Verify the bank.

    :returns: exit code, 1 if any problem was found
    """
    level, ids = conf.command.level, conf.command.checkpoint
    if level == "scrub" and ids:
        raise exception.InvalidInput("scrub reads packs, which belong to several checkpoints; leave --checkpoint out")
    with _bank(conf) as bank, _progress() as progress:
        unit = {"scrub": "packs", "quick": "checkpoints", "full": "bytes"}[level]
        task = progress.add_task(f"verifying ({unit})", total=None)
        done = 0

        def show(count: int, total: int | None) -> None:
            nonlocal done
            done = count
            progress.update(task, completed=count, total=total)

        match level:
            case "scrub":
                findings = list(bank_verify.scrub(bank, show))
            case "quick":
                findings = list(bank_verify.quick(bank, ids, show))
            case _:
                findings = list(bank_verify.full(bank, ids, show))
    if conf.command.format == "json":
        _print_json({"level": level, "verified": {unit: done}, "findings": [vars(finding) for finding in findings]})
    else:
        if findings:
            rows = [(f.checkpoint_id or "", f.resource_key or "", f.name or "", f.problem) for f in findings]
            _print_table(("checkpoint", "resource", "name", "problem"), rows)
        print(f"{done} {unit} verified, {len(findings)} problems found")
    return 1 if findings else 0


def stats(conf: cfg.ConfigOpts) -> int:
    """Print sizes and counts by project."""
    with _bank(conf) as bank, _progress() as progress:
        task = progress.add_task("reading checkpoints", total=None)
        projects = collect_stats(bank, lambda done: progress.update(task, completed=done))
    body = {project_id: item.to_dict() for project_id, item in projects.items()}
    if conf.command.format == "json":
        return _print_json(body)
    columns = ("project", "checkpoints", "streams", "logical", "packs", "stored")
    rows = [
        (project_id, str(i.checkpoints), str(i.streams), decimal(i.logical), str(i.packs), decimal(i.stored))
        for project_id, i in projects.items()
    ]
    _print_table(columns, rows)
    return 0


def export(conf: cfg.ConfigOpts) -> int:
    """Write a stream to a file, or list the streams of a checkpoint."""
    args = conf.command
    with _bank(conf) as bank:
        streams = _streams(bank, args.checkpoint)
        if args.resource is None:
            if args.format == "json":
                return _print_json([{"resource": r, "name": n, "bytes": size} for r, n, size in streams])
            _print_table(("resource", "stream", "bytes"), [(r, n, str(size)) for r, n, size in streams])
            return 0
        name = _choose(streams, args.checkpoint, args.resource, args.stream)
        project_id = bank.checkpoints.get(args.checkpoint).project_id
        with (
            bank.leases.acquire(holder="export", bases=[args.checkpoint], kind="read") as lease,
            _progress() as progress,
        ):
            section = bank.section(args.checkpoint, project_id, args.resource)
            with section.read(name, check=lease.check) as reader, _output(args.output) as file:
                task = progress.add_task(f"{args.resource} {name}", total=reader.size)
                sha256 = hashlib.sha256()
                for chunk in reader:
                    sha256.update(chunk)
                    _write(file, chunk)
                    progress.update(task, advance=len(chunk))
                size, digest = reader.size, sha256.hexdigest()
    report = sys.stderr if args.output == "-" else sys.stdout
    if args.format == "json":
        body = {"checkpoint": args.checkpoint, "resource": args.resource, "name": name, "bytes": size, "sha256": digest}
        print(json.dumps(body), file=report)
    else:
        print(f"{size} bytes, SHA-256 {digest}", file=report)
    return 0


def reindex(conf: cfg.ConfigOpts) -> int:
    """Update the index of the bank and the database from the checkpoints in the bank."""
    path = _path(conf, conf.command.provider)
    provider = providers.read(path, SystemClock())
    if provider is None:
        raise exception.ConfigurationError(f"{path}: the provider is disabled; set [provider] enabled = true")
    database = Database(conf)
    notifications.attach(conf, database, service.MANAGE_BINARY)
    with contextlib.closing(provider), contextlib.ExitStack() as stack, _progress() as progress:
        stack.callback(database.dispose)
        progress.add_task("comparing the index with the bank", total=None)
        try:
            indexed = provider.bank.checkpoints.index.rebuild()
        except errors.UNWRITABLE as error:
            # The database may follow the checkpoints that are indexed all the same.
            print(f"the bank's own index is incomplete and was not completed: {error}", file=sys.stderr)
            indexed = 0
        report = {"indexed": indexed, **vars(Sync(database, provider, force=conf.command.force).run())}
    if conf.command.format == "json":
        return _print_json(report)
    _print_table(("checkpoints", "number"), [(name, str(count)) for name, count in report.items()])
    return 0


def rotate_keys(conf: cfg.ConfigOpts) -> int:
    """Wrap the data keys of all projects with the first master key.

    :returns: exit code, 1 if any key could not be wrapped
    """
    with _bank(conf) as bank, _progress() as progress:
        if bank.keyring is None:
            raise exception.InvalidInput("the bank is not encrypted, so it has no keys to rotate")
        task = progress.add_task("data keys", total=None)
        report = bank.keyring.rotate(
            remove_old=conf.command.remove_old, progress=lambda count: progress.update(task, completed=count)
        )
    body = {
        "wrapped": report.wrapped,
        "already": report.already,
        "removed": report.removed,
        "failed": list(report.failed),
    }
    if conf.command.format == "json":
        _print_json(body)
    else:
        print(f"keys: {report.wrapped} wrapped, {report.already} unchanged; {report.removed} old wrappings removed")
        for failure in report.failed:
            print(f"failed: {failure}", file=sys.stderr)
    return 1 if report.failed else 0


# Selection of the bank


@contextlib.contextmanager
def _bank(conf: cfg.ConfigOpts) -> Iterator[Bank]:
    path = _path(conf, conf.command.provider)
    own = provider_file.parse(path, providers.OPTS, providers.GROUP)
    with provider_file.mistakes_of(path):
        bank = open_bank(own, own.provider.bank, SystemClock())
    with contextlib.closing(bank):
        yield bank


def _path(conf: cfg.ConfigOpts, provider: str) -> Path:
    if Path(provider).is_file():
        return Path(provider)
    directory = provider_file.find_directory(conf)
    known = {}
    for path in sorted(directory.glob("*.conf")) if directory else []:
        own = provider_file.parse(path, providers.OPTS, providers.GROUP).provider
        known[path] = (own.id, own.name)
    matches = [path for path, names in known.items() if provider in names]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{name} ({provider_id})" for provider_id, name in known.values()) or "none"
    raise exception.InvalidInput(
        f"{provider!r} is neither a file nor the id or name of exactly one provider; known providers: {names}"
    )


# Export


def _streams(bank: Bank, checkpoint_id: str) -> Sequence[tuple[str, str, int]]:
    """List resource, name and size in bytes of every stream of an available checkpoint."""
    record = bank.checkpoints.get(checkpoint_id)
    if record.status != states.AVAILABLE:
        raise exception.Conflict(f"checkpoint {checkpoint_id}: its status is {record.status!r}; expected 'available'")
    streams = []
    for resource_key, name in bank.checkpoints.streams(record):
        size = bank.section(checkpoint_id, record.project_id, resource_key).stats(name).logical
        streams.append((resource_key, name, size))
    return streams


def _choose(streams: Sequence[tuple[str, str, int]], checkpoint_id: str, resource: str, wanted: str | None) -> str:
    names = [name for resource_key, name, _ in streams if resource_key == resource]
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    existing = ", ".join(f"{resource_key} {name}" for resource_key, name, _ in streams) or "none"
    which = f"{resource} {wanted}" if wanted else resource
    problem = "several streams match" if names and wanted is None else "no stream matches"
    raise exception.NotFound(f"checkpoint {checkpoint_id}: {problem} {which}; existing streams: {existing}")


@contextlib.contextmanager
def _output(name: str) -> Iterator[IO[bytes]]:
    """Open the file *name*, which appears only if the block succeeds, or standard output."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    partial = f"{name}.part"
    try:
        with open(partial, "wb") as file:
            yield file
            file.truncate()
        os.replace(partial, name)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def _write(file: IO[bytes], chunk: memoryview) -> None:
    """Write *chunk*; zeros become a hole, except on standard output."""
    # With a bytearray on the left, the comparison is a memcmp; the other way round is a hundred times slower.
    if file is not sys.stdout.buffer and not chunk[0] and bytearray(len(chunk)) == chunk:
        file.seek(len(chunk), os.SEEK_CUR)
    else:
        file.write(chunk)


# Output


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print_json(body: Any) -> int:
    print(json.dumps(body, indent=2))
    return 0


def _amount(item: Mapping[str, int]) -> tuple[str, str]:
    return str(item["objects"]), decimal(item["bytes"])


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # Do not wrap lines in a pipe, so that grep finds them.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
