"""``karbor-like-manage control``: backup and recovery of the control plane.

Passphrases never are on the command line, where other users would see them. They come from a file, from the environment
variable ``KARBOR_LIKE_PASSPHRASE``, or from a prompt.
"""

import argparse
import contextlib
import getpass
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from oslo_config import cfg
from oslo_db import exception as db_exception
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from karbor_like import exception
from karbor_like.clock import SystemClock
from karbor_like.control import backup, encryption, errors, restore, retention
from karbor_like.control.targets import Target, open_target, split
from karbor_like.control.targets.directory import DEFAULT
from karbor_like.db import session as db_session

VARIABLE: Final = "KARBOR_LIKE_PASSPHRASE"
_MAX_KEY_FILE: Final = 64 * 1024
_MAX_TIMEOUT: Final = 86400


def register(nouns: Any) -> None:
    """Add ``control backup``, ``control restore``, ``control verify`` and ``control list``."""
    text = "back up and recover the control plane: database, configuration and keys"
    verbs = nouns.add_parser("control", help=text, description=text).add_subparsers(dest="verb", required=True)
    making = _verb(verbs, "backup", make, "make an encrypted archive of this site, and verify it")
    _add_location(making)
    keys = making.add_mutually_exclusive_group()
    _add_passphrase(keys)
    keys.add_argument("--public-key", metavar="FILE", help="encrypt for this X25519 or RSA key (PEM)")
    making.add_argument(
        "--keep",
        type=_count,
        metavar="N",
        help="then delete the archives of this host but the newest N (default: none)",
    )
    returning = _verb(verbs, "restore", bring_back, "restore a site from an archive")
    _add_archive(returning)
    returning.add_argument(
        "--only", choices=[part.value for part in restore.Only], help="restore only this part (default: both)"
    )
    returning.add_argument(
        "--etc",
        metavar="DIR",
        help="configuration directory (default: that of the configuration in use, or /etc/karbor_like)",
    )
    returning.add_argument(
        "--force", action="store_true", help="replace rows and files that exist; a copy of each file is kept"
    )
    _add_archive(_verb(verbs, "verify", verify, "check an archive: with a key everything, else its checksum"))
    _add_location(_verb(verbs, "list", show, "list the archives of all hosts at a location"))


def _verb(verbs: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for another host (default: %(default)s)",
    )
    parser.set_defaults(run=run)
    return parser


def _add_location(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", default=str(DEFAULT), metavar="DIR|URL", help="where archives are (default: %(default)s)"
    )


def _add_archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", metavar="ARCHIVE|URL", help="path or URL of the archive, as 'list' shows it")
    keys = parser.add_mutually_exclusive_group()
    _add_passphrase(keys)
    keys.add_argument("--private-key", metavar="FILE", help="decrypt with this X25519 or RSA key (PEM)")


def _add_passphrase(keys: Any) -> None:
    keys.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help=f"file whose first line is the passphrase (default: {VARIABLE} in the environment, or a prompt)",
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) <= _MAX_TIMEOUT:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r}: must be more than 0 and at most {_MAX_TIMEOUT} seconds")


# Verbs


def make(conf: cfg.ConfigOpts) -> int:
    """Make an archive."""
    args = conf.command
    target = open_target(args.to, SystemClock(), args.timeout)
    identity: encryption.Identity | None = None
    recipient: encryption.Recipient
    if args.public_key is not None:
        recipient = encryption.PublicKey(_read_key(args.public_key))
    else:
        recipient = identity = encryption.Passphrase(_passphrase(args.passphrase_file, repeat=True))
    with _database_errors(), _progress() as step:
        work = backup.Backup(conf, target, recipient, SystemClock(), identity=identity, progress=step)
        report = work.run(args.keep)
    if args.format == "json":
        return _print_json(asdict(report))
    print(f"{report.archive}: {report.bytes} bytes, {report.rows} rows, {report.files} files, SHA-256 {report.sha256}")
    for file in report.left_out:
        print(f"not in the archive: {file}", file=sys.stderr)
    for name in report.removed:
        print(f"deleted: {target.address(name)}")
    return 0


def bring_back(conf: cfg.ConfigOpts) -> int:
    """Restore an archive, and print what the operator has to do next."""
    args = conf.command
    with _archive(conf) as file, _database_errors(), _progress() as step:
        work = restore.Restore(
            conf,
            file,
            _identity(conf, required=True),
            SystemClock(),
            etc=Path(args.etc) if args.etc else None,
            only=restore.Only(args.only) if args.only else None,
            force=args.force,
            progress=step,
        )
        report = work.run()
    if args.format == "json":
        return _print_json(
            {**asdict(report), "header": {**asdict(report.header), "key": report.header.key.get("kind")}}
        )
    done = report.recovered
    print(f"restored from the archive that {report.header.host} made at {report.header.created}:")
    print(f"{report.files} files in {report.etc}, {report.rows} rows of the database")
    print(
        f"operations: {done.continued} continue, {done.ended} were ended; {done.runs} scheduled runs were ended, due times of"
        f" {done.missed} triggers were missed"
    )
    for copy in report.copies:
        print(f"replaced; a copy is {copy}")
    print("Next:")
    for number, text in enumerate(report.steps, 1):
        print(f"{number}. {text}")
    return 0


def verify(conf: cfg.ConfigOpts) -> int:
    """Verify an archive."""
    with _archive(conf) as file:
        identity = _identity(conf, required=False)
        header = backup.verify(file, identity)
    body = {**asdict(header), "key": header.key.get("kind"), "verified": "contents" if identity else "checksum"}
    if conf.command.format == "json":
        return _print_json(body)
    print(
        f"{conf.command.archive}: intact ({body['verified']}); made by {header.host} at {header.created},"
        f" release {header.release}"
    )
    return 0


def show(conf: cfg.ConfigOpts) -> int:
    """List archives, by host and time."""
    target = open_target(conf.command.to, SystemClock(), conf.command.timeout)
    addresses = [target.address(name) for name in sorted(filter(retention.is_name, target.list()))]
    if conf.command.format == "json":
        return _print_json(addresses)
    for address in addresses:
        print(address)
    return 0


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailable in place of the library's error if the database does not answer."""
    try:
        yield
    except db_exception.DBError as error:
        if db_session.unavailable(error) is None:
            raise
        raise exception.DatabaseUnavailable(
            f"the database does not answer ({type(error).__name__}); check [database] connection"
        ) from error


# Archives


@contextlib.contextmanager
def _archive(conf: cfg.ConfigOpts) -> Iterator[IO[bytes]]:
    """Open the archive of the command line. One of another host is copied first."""
    address = conf.command.archive
    path = Path(address)
    if path.exists():
        if not path.is_file():
            raise exception.InvalidInput(f"{path}: is not a file")
        try:
            file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise errors.TargetFailed(f"{path}: cannot be read: {error.strerror}") from None
        with file:
            yield file
        return
    location, name = split(address)
    target: Target = open_target(location, SystemClock(), conf.command.timeout)
    with tempfile.TemporaryFile() as copy:
        try:
            target.get(name, copy)
            copy.flush()
        except OSError as error:
            raise errors.TargetFailed(
                f"{tempfile.gettempdir()}: the archive cannot be copied: {error.strerror}"
            ) from None
        yield copy


# Keys


def _identity(conf: cfg.ConfigOpts, *, required: bool) -> Any:
    args = conf.command
    if args.private_key is not None:
        return encryption.PrivateKey(_read_key(args.private_key), lambda: _passphrase(None, repeat=False))
    if required or args.passphrase_file is not None or VARIABLE in os.environ:
        return encryption.Passphrase(_passphrase(args.passphrase_file, repeat=False))
    return None


def _read_key(name: str) -> bytes:
    return _read(Path(name), private=False)


def _read(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            others = os.fstat(file.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH)
            data = file.read(_MAX_KEY_FILE)
    except OSError as error:
        raise exception.InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
    if private and others:
        raise exception.InvalidInput(f"{path}: other users may read or change it; run chmod 600 {path}")
    return data


def _passphrase(file: str | None, *, repeat: bool) -> str:
    if file is not None:
        try:
            return _read(Path(file), private=True).decode().split("\n", 1)[0].rstrip("\r")
        except UnicodeDecodeError:
            raise exception.InvalidInput(f"{file}: the passphrase is not a text in UTF-8") from None
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    if not sys.stdin.isatty():
        raise exception.InvalidInput(f"a passphrase is needed: use --passphrase-file, or set {VARIABLE}")
    text = getpass.getpass("Passphrase of the archive: ")
    if repeat and getpass.getpass("The same again: ") != text:
        raise exception.InvalidInput("the passphrases differ")
    return text


# Output


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Show the progress of steps on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def advance(step: str, done: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None)
            bar.advance(tasks[step], done)

        yield advance


def _print_json(body: Any) -> int:
    print(json.dumps(body, indent=2))
    return 0
