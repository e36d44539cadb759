"""Archives on an FTP server, in clear or over TLS (explicit, RFC 4217)."""

import contextlib
import ftplib  # noqa: S402 - archives are encrypted; the password is not, unless ftps is used
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final
from urllib import parse

from requests import utils

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.targets import base

#: File unavailable: it does not exist, or there is no access (RFC 959).
_UNAVAILABLE: Final = "550"
_TEXT: Final = 200


class FtpTarget(base.Target):
    """A directory of a server.

    :param timeout: seconds to wait for each answer of the server
    """

    def __init__(self, location: str, timeout: float) -> None:
        super().__init__(location)
        url = parse.urlsplit(location)
        if not url.hostname:
            raise exception.InvalidInput("the URL is not valid; expected ftp://[user@]host[:port]/path")
        self._secure = url.scheme == "ftps"
        self._host, self._port = url.hostname, url.port or ftplib.FTP_PORT
        self._path = parse.unquote(url.path)
        if not self._path.isprintable():
            raise exception.InvalidInput("the URL is not valid: its path has control characters")
        self._user, self._timeout = url.username, timeout

    def put(self, name: str, path: Path) -> None:
        partial = f"{name}.part"
        with self._connected() as server:
            try:
                with path.open("rb") as file:
                    server.storbinary(f"STOR {partial}", file)
                server.rename(partial, name)
            except BaseException:
                with contextlib.suppress(*ftplib.all_errors):
                    server.delete(partial)
                raise

    def get(self, name: str, file: IO[bytes]) -> None:
        with self._connected() as server:
            try:
                server.retrbinary(f"RETR {name}", file.write)
            except ftplib.error_perm as error:
                if not str(error).startswith(_UNAVAILABLE):
                    raise
                raise errors.NoSuchArchive(f"{self.address(name)}: there is no such archive") from None

    def list(self) -> Sequence[str]:
        with self._connected() as server:
            return self._names(server)

    @staticmethod
    def _names(server: ftplib.FTP) -> Sequence[str]:
        try:
            return sorted(name.rpartition("/")[2] for name in server.nlst())
        except ftplib.error_perm as error:
            if not str(error).startswith(_UNAVAILABLE):
                raise
            return []  # some servers say so of an empty directory

    def delete(self, name: str) -> None:
        with self._connected() as server:
            try:
                server.delete(name)
            except ftplib.error_perm:
                if name in self._names(server):
                    raise

    @contextlib.contextmanager
    def _connected(self) -> Iterator[ftplib.FTP]:
        try:
            server = ftplib.FTP(timeout=self._timeout)  # noqa: S321
            if self._secure:
                server = ftplib.FTP_TLS(context=ssl.create_default_context(), timeout=self._timeout)  # noqa: S321
            with server:
                server.connect(self._host, self._port)
                found = utils.get_netrc_auth(self.location) or ("anonymous", "")
                server.login(self._user or found[0], found[1])
                if isinstance(server, ftplib.FTP_TLS):
                    server.prot_p()
                if self._path not in ("", "/"):
                    server.cwd(self._path)
                yield server
        except ftplib.all_errors as error:
            said = " ".join(str(error).split())[:_TEXT] or type(error).__name__
            raise errors.TargetFailed(f"{self.location}: {said}") from None
