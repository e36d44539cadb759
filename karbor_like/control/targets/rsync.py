"""Archives on another host, by the program ``rsync``: its daemon (``rsync://``) or over ssh (``rsync+ssh://``)."""

import os
import re
import shutil
import subprocess  # noqa: S404 - without a shell, and with checked arguments
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final
from urllib import parse

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.targets import base

_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-f:]+")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LISTED: Final = re.compile(r"-\S+ +[\d,.]+ +\S+ +\S+ (.*)")
#: Exit codes (rsync(1)): a file could not be transferred, for example because it does not exist.
_PARTIAL: Final = 23
_TEXT: Final = 500


class RsyncTarget(base.Target):
    """A directory of a host. Without a host in the URL, it is one of this host.

    :param timeout: seconds without progress after which a transfer fails
    """

    def __init__(self, location: str, timeout: float) -> None:
        super().__init__(location)
        url = parse.urlsplit(location)
        user, host, path = url.username, url.hostname or "", parse.unquote(url.path).rstrip("/")
        valid = (not host or _HOST.fullmatch(host)) and (user is None or _USER.fullmatch(user)) and path.startswith("/")
        if not valid or not path.isprintable() or (user and not host) or (url.scheme == "rsync+ssh" and not host):
            raise exception.InvalidInput(
                "the URL is not valid; expected rsync://[user@]host[:port]/module/path or rsync+ssh://[user@]host[:port]/path"
            )
        seconds = max(1, round(timeout))
        self._options = [f"--timeout={seconds}", "--protect-args"]
        name = f"{user}@" if user else ""
        name += f"[{host}]" if ":" in host else host
        if url.scheme == "rsync+ssh":
            port = f" -p {url.port}" if url.port else ""
            self._options.append(f"--rsh=ssh -o BatchMode=yes -o ConnectTimeout={seconds}{port}")
            self._remote = f"{name}:{path}"
        elif host:
            self._options.append(f"--contimeout={seconds}")
            self._remote = f"rsync://{name}{f':{url.port}' if url.port else ''}{path}"
        else:
            self._remote = path

    def put(self, name: str, path: Path) -> None:
        # rsync itself writes to a temporary name and renames it.
        self._run("--ignore-existing", "--chmod=F600", "--", str(path), f"{self._remote}/{name}")

    def get(self, name: str, file: IO[bytes]) -> None:
        with tempfile.TemporaryDirectory(prefix="karbor_like-") as directory:
            path = Path(directory) / name
            try:
                self._run("--", f"{self._remote}/{name}", str(path))
            except _PartialError as error:
                raise errors.NoSuchArchive(str(error)) from None
            with path.open("rb") as copy:
                shutil.copyfileobj(copy, file)

    def list(self) -> Sequence[str]:
        lines = self._run("--list-only", "--", f"{self._remote}/").splitlines()
        return sorted(match[1] for line in lines if (match := _LISTED.fullmatch(line)))

    def delete(self, name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="karbor_like-") as empty:
            # What the empty directory does not have is deleted, but only of this name.
            selection = ("--recursive", "--delete", f"--include=/{name}", "--exclude=*")
            self._run(*selection, "--", f"{empty}/", f"{self._remote}/")

    def _run(self, *arguments: str) -> str:
        command = ["rsync", *self._options, *arguments]
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            done = subprocess.run(  # noqa: S603
                command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False
            )
        except FileNotFoundError:
            raise errors.TargetFailed("the program rsync is not installed on this host; install its package") from None
        if done.returncode:
            kind = _PartialError if done.returncode == _PARTIAL else errors.TargetFailed
            said = " ".join(done.stderr.decode(errors="replace").split())[:_TEXT]
            raise kind(f"{self.location}: rsync failed with code {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")


class _PartialError(errors.TargetFailed):
    """A file was not transferred."""
