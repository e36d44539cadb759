"""The files that belong to a site: configuration, provider files, policy, and the keys and certificates they name.

A file of the configuration directory, which is that of the main configuration file, is archived below ``etc/``. Any other
one is archived below ``elsewhere/``, with its whole path.
"""

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oslo_config import cfg

from karbor_like import configfile, exception, policy
from karbor_like.control.archive import Member
from karbor_like.protection.registry import provider_file

ETC: Final = "etc"
ELSEWHERE: Final = "elsewhere"
#: Default configuration directory.
SYSTEM_ETC: Final = Path("/etc/karbor_like")

#: Maximum bytes of one file. Certificates and configuration are much smaller.
MAX_FILE: Final = 4 * 1024 * 1024
#: Files that belong to the operating system of the host, and those that services write.
_FOREIGN: Final = ("/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/ssl/certs", "/proc", "/run", "/sys", "/usr")
_WRITTEN: Final = frozenset({"log_file", "lock_path"})


@dataclass(frozen=True)
class Files:
    """The files of a site.

    :param etc: the configuration directory
    :param paths: all files, absolute
    :param left_out: why files that the configuration names are not among them
    """

    etc: Path
    paths: Sequence[Path]
    left_out: Sequence[str]

    def members(self) -> Iterator[Member]:
        """Read the files. Raises ConfigurationError if one cannot be read."""
        for path in self.paths:
            yield _member(path, member_name(self.etc, path))


def find(conf: cfg.ConfigOpts) -> Files:
    """Find the files of the site that *conf* configures.

    :raises ConfigurationError: *conf* was read from no file, or a file cannot be parsed
    """
    main = [absolute(name) for name in conf.config_file or ()]
    directories = [absolute(name) for name in conf.config_dir or ()]
    if not main and not directories:
        raise exception.ConfigurationError(
            "there is no configuration file to archive: there is none in /etc/karbor_like; name it with --config-file"
        )
    etc = main[0].parent if main else directories[0]
    files = [*main, *(path for directory in directories for path in sorted(directory.glob("*.conf")))]
    providers = provider_file.find_directory(conf)
    files += sorted(absolute(providers).glob("*.conf")) if providers else []
    named, left_out = [], []
    for path in files:
        for entry in configfile.ConfigFile(path).entries:
            if not Path(entry.value).is_absolute() or entry.name in _WRITTEN or not Path(entry.value).is_file():
                continue
            file = absolute(entry.value)
            reason = _reason_against(file)
            if reason:
                left_out.append(f"{file} ([{entry.section}] {entry.option} of {path}): {reason}")
            else:
                named.append(file)
    return Files(etc, list(dict.fromkeys([*files, *_policies(conf), *named])), left_out)


def _policies(conf: cfg.ConfigOpts) -> Iterator[Path]:
    policy.make_enforcer(conf)  # registers the options
    options = conf.oslo_policy
    if options.policy_file and (found := conf.find_file(options.policy_file)):
        yield absolute(found)
    for name in options.policy_dirs or ():
        if directory := conf.find_file(name):
            yield from (path for path in sorted(absolute(directory).iterdir()) if path.is_file())


def _reason_against(file: Path) -> str | None:
    if any(file.resolve().is_relative_to(directory) for directory in _FOREIGN):
        return "belongs to the operating system"
    if file.stat().st_size > MAX_FILE:
        return f"is larger than {MAX_FILE} bytes"
    return None


def absolute(name: str | Path) -> Path:
    """Return the absolute path of a file without ``..``, which the names of members must not have.

    Symbolic links are kept unless there is a ``..``, which leads from where they point to.
    """
    path = Path(name).absolute()
    return path.parent.resolve() / path.name if ".." in path.parts else path


def member_name(etc: Path, path: Path) -> str:
    """Return the name of the file *path* in an archive of the site with the configuration directory *etc*.

    Both are results of :func:`absolute`.
    """
    if path.is_relative_to(etc):
        return f"{ETC}/{path.relative_to(etc)}"
    return f"{ELSEWHERE}{path}"


def _member(path: Path, name: str) -> Member:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise exception.ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode) or len(data) > MAX_FILE:
        raise exception.ConfigurationError(f"{path}: is not a regular file of at most {MAX_FILE} bytes")
    owner = group = ""
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(status.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(status.st_gid).gr_name
    return Member(name, data, stat.S_IMODE(status.st_mode), owner, group)
