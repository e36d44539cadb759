"""What all services are written with: a call that came in, routes, answers, and the base class of a service."""

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
"""Key of the WSGI environment under which the server keeps the function that cuts the connection."""


class Cut(errors.ShortBody):
    """The failure switch cut this call; the connection is closed without another word."""


@dataclass(frozen=True)
class Identity:
    """Who calls, as their token says."""

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str]
    token_id: str
    trust_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def may_see(self, project_id: str | None) -> bool:
        """Whether things of that project exist for the caller."""
        return self.is_admin or (project_id is not None and project_id == self.project_id)


class Call:
    """One request to one service.

    :param path: the path below the service's prefix, unquoted
    :param interrupt: does what a ``cut`` or ``stall`` asks for and returns the exception to raise
    """

    def __init__(self, request: webob.Request, path: str, strikes: faults.Strikes, interrupt: Interrupt) -> None:
        self.request = request
        self.path = path
        self.strikes = strikes
        self._interrupt = interrupt
        self._identity: Identity | None = None
        self._ended = False
        self._passed = 0

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
        """Scheme, host and port by which the client reached the sandbox."""
        return self.request.host_url

    @property
    def identity(self) -> Identity:
        """:raises ApiError: 401, where the route asks for no token and there is none"""
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
        """What is left of the body, a mebibyte at a time.

        :raises ShortBody: the client sent less than it announced, or the failure switch struck
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
                # Cheroot leaves the line after the last chunk unread, and would keep a thread waiting behind it.
                list(source.read_trailer_lines())
        except (OSError, ValueError) as error:  # ValueError: cheroot met the end inside a chunk
            raise errors.ShortBody(f"body ended early: {error}") from error
        return data

    def json(self) -> Any:
        """:raises ApiError: 400, when the body is not JSON"""
        try:
            return json.loads(b"".join(self.chunks()))
        except ValueError as error:
            raise errors.bad_request(f"Malformed request body: {error}") from None

    def member(self, name: str) -> dict[str, Any]:
        """The object under *name* that the body consists of.

        :raises ApiError: 400, when the body is something else
        """
        body = self.json()
        if not isinstance(body, dict) or not isinstance(body.get(name), dict):
            raise errors.bad_request(f"Invalid input: the body must be an object with the object {name!r} in it.")
        return body[name]


@dataclass(frozen=True)
class Route:
    """A method, a path with ``{name}`` for one segment and ``{name:*}`` for the rest, and what answers."""

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
        """:raises ApiError: 404 for an unknown path, 405 for a known path with another method"""
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
        """The project that the URL names, where it names one; a caller of another project gets 403."""
        return arguments.get("project_id")

    def finish(self, call: Call, response: webob.Response) -> None:
        """Add what every answer of the service carries."""

    def render(self, error: errors.ApiError) -> webob.Response:
        """A refusal in the shape of the real service."""
        return answer(error.status, {"error": {"code": error.status, "message": error.message}})

    def recover(self) -> None:
        """Settle what a former process left in a passing state."""


def answer(status: int = 200, body: Any = None, headers: dict[str, str] | None = None) -> webob.Response:
    """A JSON answer, or an empty one when *body* is None."""
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
    """An answer for people."""
    response = webob.Response(status=status, body=body.encode(), content_type=content_type, charset="UTF-8")
    response.headers.update(headers or {})
    return response


def new_id() -> str:
    """A UUID with dashes, as services name their resources."""
    return str(uuid.uuid4())


def raw_path(environ: dict[str, Any]) -> str:
    """The path of a request, unquoted as UTF-8."""
    return urllib.parse.unquote(environ["REQUEST_URI"].partition("?")[0])
