"""The return of the files of a site: checked before anything is changed, then staged, then renamed."""

import contextlib
import grp
import os
import pwd
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from karbor_like import exception
from karbor_like.control import contents, errors
from karbor_like.control.archive import Member
from karbor_like.control.targets.directory import sync_directory

#: Directory, in the configuration directory, of files that were elsewhere: an archive writes nowhere else.
ELSEWHERE = contents.ELSEWHERE


class Installation:
    """The files of an archive on their way to the configuration directory.

    :param etc: the configuration directory of this host
    :param members: the files
    :param suffix: of the names of copies of files that are replaced
    """

    def __init__(self, etc: Path, members: Sequence[Member], suffix: str) -> None:
        self._suffix = suffix
        self._members = {_destination(etc, member.name): member for member in members}

    def check(self, *, force: bool) -> None:
        """Check that the files can be installed.

        :param force: whether existing files may be replaced; a copy of each is kept
        :raises Conflict: a file exists and differs
        """
        differing = []
        for path, member in self._members.items():
            if path.is_dir() and not path.is_symlink():
                raise exception.Conflict(f"{path}: is a directory; in the archive it is a file")
            if os.path.lexists(path) and not _same(path, member):
                differing.append(str(path))
        if differing and not force:
            raise exception.Conflict(
                f"files exist and differ from those of the archive: {', '.join(differing)}; move them, restore to another"
                " directory with --etc, or replace them with --force, which keeps copies"
            )

    def run(self) -> Sequence[str]:
        """Install the files. Idempotent.

        :returns: paths of the copies of replaced files
        :raises ConfigurationError: a file cannot be written; then all are as before, unless it is the renaming that failed
        """
        staged: dict[Path, Path] = {}
        copies = []
        try:
            for path, member in self._members.items():
                if not _same(path, member):
                    staged[path] = _stage(path, member)
            for path, temporary in list(staged.items()):
                if os.path.lexists(path):
                    copy = path.with_name(f"{path.name}{self._suffix}")
                    path.rename(copy)
                    copies.append(str(copy))
                temporary.rename(path)
                del staged[path]
                sync_directory(path.parent)
        except OSError as error:
            raise exception.ConfigurationError(f"{error.filename}: cannot be written: {error.strerror}") from error
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)
        return copies

    def moved(self) -> Mapping[str, str]:
        """Return the files that must be moved to the places that the configuration names: path -> its place."""
        found = {}
        for path, member in self._members.items():
            directory, _, rest = member.name.partition("/")
            if directory == ELSEWHERE:
                found[str(path)] = f"/{rest}"
        return found


def _destination(etc: Path, name: str) -> Path:
    directory, _, rest = name.partition("/")
    if directory == contents.ETC and rest:
        return etc / rest
    if directory == ELSEWHERE and rest:
        return etc / ELSEWHERE / rest
    raise errors.BadArchive(f"the archive: {name} is in no directory that this release knows")


def _same(path: Path, member: Member) -> bool:
    try:
        return not path.is_symlink() and path.is_file() and path.read_bytes() == member.data
    except OSError:
        return False


def _stage(path: Path, member: Member) -> Path:
    """Write a file under a temporary name in the directory of *path*, and return its path."""
    owner = _owner(member)
    for directory in reversed([parent for parent in path.parents if not parent.exists()]):
        directory.mkdir(0o750)
        if owner:
            os.chown(directory, -1, owner[1])
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(member.data)
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), member.mode & 0o755)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _owner(member: Member) -> tuple[int, int] | None:
    """Return user and group of a file, if this process may set them. -1 is one that this host does not have."""
    if os.geteuid() != 0:
        return None
    user = group = -1
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(member.owner).pw_uid
    with contextlib.suppress(KeyError):
        group = grp.getgrnam(member.group).gr_gid
    return user, group
