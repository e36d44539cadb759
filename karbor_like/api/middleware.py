"""WSGI middleware: request ids, and one shape for the errors of every part of the pipeline."""

import json
import logging
from collections.abc import Callable
from typing import Any

import webob
from oslo_context import context
from oslo_middleware import request_id

from karbor_like.api import errors
from karbor_like.clock import Clock
from karbor_like.metrics import families

LOG = logging.getLogger(__name__)

Application = Callable[..., Any]

#: The header in which other services send the id of the request that they serve, as a name of WSGI.
_GIVEN_ID = "HTTP_X_OPENSTACK_REQUEST_ID"
#: Headers with the id of a request.
_IDS = (request_id.HTTP_RESP_HEADER_REQUEST_ID, "x-compute-request-id")

#: Where the application notes the route of a request: its path with the names of the variables.
ROUTE = "karbor_like.route"

#: User agents of the old client of this API, alone and as a plugin of the OpenStack client. It fails at a ``Retry-After``
#: header with any status but 413.
_LEGACY = ("python-karborclient", "keystoneauth1")


class RequestId(request_id.RequestId):
    """Sends the id of the request in both headers that clients read."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Do what the library does, without an object for each request and answer, which takes ten times as long."""
        if _GIVEN_ID in environ:
            self.set_global_req_id(webob.Request(environ))
        own = environ[request_id.ENV_REQUEST_ID] = context.generate_request_id()

        def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            present = {name.lower() for name, _ in headers}
            return start_response(status, [*headers, *((name, own) for name in _IDS if name not in present)], *error)

        application: Any = self.application
        return application(environ, begin)


class Counted:
    """Counts the requests, by the route that the application notes under :data:`ROUTE` in the environment."""

    def __init__(self, application: Application, clock: Clock) -> None:
        self._application = application
        self._clock = clock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        began = self._clock.monotonic()

        def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            route = environ.get(ROUTE, "none")
            families.count_request(environ["REQUEST_METHOD"], route, status[:3], self._clock.monotonic() - began)
            return start_response(status, headers, *error)

        return self._application(environ, begin)


class ErrorFormatter:
    """Gives errors from outside of the controllers the shape of all errors: large bodies, missing tokens, bugs.

    Answers that are no errors pass through untouched.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        error: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if status < "400":
                return start_response(status, headers, *exc_info)
            error.append((status, headers))
            return None

        try:
            body = self._application(environ, begin)
        except Exception as unforeseen:  # noqa: BLE001 - the boundary of the service
            response = errors.answer(unforeseen)
        else:
            if not error:
                return body
            status, headers = error[-1]
            response = webob.Response(status=status, headerlist=headers, app_iter=body)
        return self._format(response, webob.Request(environ))(environ, start_response)

    def _format(self, response: webob.Response, incoming: webob.Request) -> webob.Response:
        if not _has_shape(response):
            response = self._reshape(response)
        if response.status_int == 503 and any(name in (incoming.user_agent or "") for name in _LEGACY):
            response.headers.pop("Retry-After", None)
        return response

    def _reshape(self, response: webob.Response) -> webob.Response:
        answer = errors.answer_status(response.status_int)
        if "WWW-Authenticate" in response.headers:
            answer.headers["WWW-Authenticate"] = response.headers["WWW-Authenticate"]
        return answer


def _has_shape(response: webob.Response) -> bool:
    if response.content_type != "application/json":
        return False
    try:
        body = json.loads(response.body)
    except ValueError:
        return False
    return isinstance(body, dict) and len(body) == 1 and all(isinstance(value, dict) for value in body.values())
