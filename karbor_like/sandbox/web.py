"""Common parts of the services: calls, routes, responses, and the base class of a service."""

import json
import re
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import webob

from karbor_like.sandbox import errors, faults, files

Handler = Callable[..., webob.Response]
Interrupt = Callable[[faults.Fault], Exception]
HANGUP = "karbor_like.sandbox.hangup"
"""Key of the WSGI environment for the server's function that closes the connection."""


class Cut(errors.ShortBody):
    """A fault cut this call; the connection is closed without a response."""


@dataclass(frozen=True)
class Identity:
    """The caller, according to the token."""

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str]
    token_id: str
    trust_id: str | None = None
    #: Whether the token is of a restricted application credential.
    is_restricted: bool = False

    @property
    def is_delegated(self) -> bool:
        """Whether the token has only a part of the user's authority, which it must not give away."""
        return self.is_restricted or self.trust_id is not None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def may_see(self, project_id: str | None) -> bool:
        """Return whether objects of that project are visible to the caller."""
        return self.is_admin or (project_id is not None and project_id == self.project_id)


class Call:
    """One request to one service.

    :param path: the path below the service's prefix, unquoted
    :param interrupt: carries out a ``cut`` or ``stall`` and returns the exception to raise
    """

    def __init__(self, request: webob.Request, path: str, strikes: faults.Strikes, interrupt: Interrupt) -> None:
        self.request = request
        self.path = path
        self.strikes = strikes
        self._interrupt = interrupt
        self._identity: Identity | None = None
        self._ended = False
        self._passed = 0
        self._content: bytes | None = None

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def query(self) -> Any:
        """The query as WebOb's multi-dictionary."""
        return self.request.GET

    @property
    def headers(self) -> Any:
        return self.request.headers

    @property
    def base_url(self) -> str:
        """Scheme, host and port that the client used to reach the sandbox."""
        return self.request.host_url

    @property
    def identity(self) -> Identity:
        """The caller.

        :raises ApiError: 401, if the route is public and the request has no token
        """
        if self._identity is None:
            raise errors.ApiError(401, "The request you have made requires authentication.")
        return self._identity

    @identity.setter
    def identity(self, value: Identity | None) -> None:
        self._identity = value

    @property
    def anonymous(self) -> bool:
        return self._identity is None

    @property
    def has_body(self) -> bool:
        return self._chunked or bool(self.request.content_length)

    @property
    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest of the body, a mebibyte at a time.

        :raises ShortBody: the client sent less than it announced, or a fault struck
        """
        fault = self.strikes.find(faults.CUT, "request") or self.strikes.find(faults.STALL, "request")
        while not self._ended:
            want = min(files.CHUNK, fault.after_bytes - self._passed) if fault else files.CHUNK
            chunk = self._read(want) if want else b""
            self._passed += len(chunk)
            if chunk:
                yield chunk
            elif fault:
                raise self._interrupt(fault)
            else:
                self._ended = True
        if self._passed < (self.request.content_length or 0):
            raise errors.ShortBody(f"body ended after {self._passed} of {self.request.content_length} bytes")

    def _read(self, size: int) -> bytes:
        if not self.has_body:
            return b""
        source = self.request.environ["wsgi.input"]
        try:
            data = source.read(size)
            if not data and self._chunked:
                # Cheroot does not read the line after the last chunk, which would block a thread.
                list(source.read_trailer_lines())
        except (OSError, ValueError) as error:  # ValueError: the body ended inside a chunk
            raise errors.ShortBody(f"body ended early: {error}") from error
        return data

    def json(self) -> Any:
        """Parse the body, which is read once.

        :raises ApiError: 400, if the body is not JSON
        """
        if self._content is None:
            self._content = b"".join(self.chunks())
        try:
            return json.loads(self._content)
        except ValueError as error:
            raise errors.bad_request(f"Malformed request body: {error}") from None

    def member(self, name: str) -> dict[str, Any]:
        """Return the object under *name* in the body.

        :raises ApiError: 400, if the body has no such object
        """
        body = self.json()
        if not isinstance(body, dict) or not isinstance(body.get(name), dict):
            raise errors.bad_request(f"Invalid input: the body must be an object with the object {name!r} in it.")
        return body[name]


@dataclass(frozen=True)
class Route:
    """A method, a path and their handler.

    :param template: path with ``{name}`` for one segment and ``{name:*}`` for the rest
    :param public: whether the route needs no token
    """

    method: str
    template: str
    handler: Handler
    public: bool = False

    def compile(self) -> re.Pattern[str]:
        pattern = re.escape(self.template).replace(r"\{", "{").replace(r"\}", "}").replace(r":\*", ":*")
        pattern = re.sub(r"{(\w+):\*}", r"(?P<\1>.+)", pattern)
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern) + "/?", re.DOTALL)


class Service:
    """One OpenStack service: a prefix of the URL, a name for faults, routes and the shape of its errors."""

    name: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self) -> None:
        self._routes = [(route, route.compile()) for route in self.routes()]

    def routes(self) -> Sequence[Route]:
        raise NotImplementedError

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Find the route of a request, and the arguments in its path.

        :raises ApiError: 404 for an unknown path, 405 for a known path with another method
        """
        allowed = set()
        for route, pattern in self._routes:
            if match := pattern.fullmatch(path):
                if route.method == method:
                    return route, match.groupdict()
                allowed.add(route.method)
        if allowed:
            raise errors.ApiError(405, f"Method {method} is not allowed here.", {"Allow": ", ".join(sorted(allowed))})
        raise errors.not_found("The resource could not be found.")

    def project_of(self, path: str, arguments: dict[str, str]) -> str | None:
        """Return the project in the URL, or None. A caller of another project gets 403."""
        return arguments.get("project_id")

    def finish(self, call: Call, response: webob.Response) -> None:
        """Add the headers that every response of the service has."""

    def render(self, error: errors.ApiError) -> webob.Response:
        """Format an error as the real service does."""
        return answer(error.status, {"error": {"code": error.status, "message": error.message}})

    def recover(self) -> None:
        """Resolve transitional states that an earlier process left behind."""


def answer(status: int = 200, body: Any = None, headers: dict[str, str] | None = None) -> webob.Response:
    """Create a JSON response, or an empty one if *body* is None."""
    response = webob.Response(status=status)
    if body is None:
        del response.content_type
        if status != 204:
            response.content_length = 0
    else:
        response.content_type = "application/json"
        response.charset = None
        response.body = json.dumps(body).encode()
    response.headers.update(headers or {})
    return response


def text(
    status: int, body: str, content_type: str = "text/html", headers: dict[str, str] | None = None
) -> webob.Response:
    """Create a response with text."""
    response = webob.Response(status=status, body=body.encode(), content_type=content_type, charset="UTF-8")
    response.headers.update(headers or {})
    return response


def new_id() -> str:
    """Return a UUID with dashes, as services use for ids of resources."""
    return str(uuid.uuid4())


def raw_path(environ: dict[str, Any]) -> str:
    """Return the path of a request, unquoted as UTF-8."""
    return urllib.parse.unquote(environ["REQUEST_URI"].partition("?")[0])
