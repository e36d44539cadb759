"""Archives on a server that accepts PUT, such as a WebDAV server or an artifact store."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final
from urllib import parse

import requests

from karbor_like import exception
from karbor_like.control import errors
from karbor_like.control.targets import base

_NOT_FOUND: Final = (404, 410)
_CHUNK: Final = 1024 * 1024


class HttpTarget(base.Target):
    """A URL below which archives are stored. The server decides that a name appears only with all bytes.

    :param timeout: seconds to wait for a connection, and for the next bytes
    """

    def __init__(self, location: str, timeout: float) -> None:
        super().__init__(location)
        if not parse.urlsplit(location).hostname:
            raise exception.InvalidInput("the URL is not valid; expected https://host[:port]/path")
        self._timeout = timeout

    def put(self, name: str, path: Path) -> None:
        headers = {"Content-Type": "application/octet-stream", "If-None-Match": "*"}
        with path.open("rb") as file, self._request("PUT", name, data=file, headers=headers) as response:
            self._check(name, response)

    def get(self, name: str, file: IO[bytes]) -> None:
        with self._request("GET", name, headers={"Accept-Encoding": "identity"}, stream=True) as response:
            if response.status_code in _NOT_FOUND:
                raise errors.NoSuchArchive(f"{self.address(name)}: there is no such archive")
            self._check(name, response)
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)

    def list(self) -> Sequence[str]:
        raise base.no_list(self.location)

    def delete(self, name: str) -> None:
        with self._request("DELETE", name) as response:
            if response.status_code not in _NOT_FOUND:
                self._check(name, response)

    @contextlib.contextmanager
    def _request(self, method: str, name: str, **options: Any) -> Iterator[requests.Response]:
        try:
            # A redirect of a PUT would lose the body, or send it to another host.
            with requests.request(
                method, self.address(name), timeout=self._timeout, allow_redirects=False, **options
            ) as response:
                yield response
        except requests.RequestException as error:
            raise errors.TargetFailed(f"{self.address(name)}: {error}") from None

    def _check(self, name: str, response: requests.Response) -> None:
        if not 200 <= response.status_code < 300:
            raise errors.TargetFailed(
                f"{self.address(name)}: the server answered {response.status_code} {response.reason}"
            )
