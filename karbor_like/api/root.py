"""The Pecan application: parses each request, finds its route, calls the controller and renders the answer."""

import json
from typing import Any

import pecan
import webob
from pecan import hooks

from karbor_like import exception
from karbor_like.api import errors, request
from karbor_like.api.context import ServiceContext
from karbor_like.api.controllers import v1
from karbor_like.api.controllers.routing import Router
from karbor_like.api.expose import Call

_JSON = "application/json"


class RequestHook(hooks.PecanHook):
    """Finds the route of a request before its controller runs, and renders every error."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps
        self._router = Router(v1.ROUTES)

    def on_route(self, state: Any) -> None:
        """Read the request before Pecan does: Pecan accepts some malformed requests and fails at others."""
        self._deps.begin_request()
        incoming = state.request
        # Ends Pecan's content negotiation: the API speaks JSON only, and a dot in an id is not a file name extension.
        incoming.pecan["content_type"] = _JSON
        context = request.read_identity(incoming, self._deps.enforcer)
        project_id, segments = request.read_path(incoming)
        match = self._router.find(incoming.method, segments)
        if match is None:
            raise errors.RouteNotFound("The resource could not be found.")
        route, variables = match
        # The rest is parsed when it is known that the caller may make the request. Pecan would parse a body itself.
        raw, incoming.body = incoming.body, b""
        if context.project_id is None or project_id != context.project_id:
            raise exception.WrongProject(
                f"Malformed request url: the project {project_id[:64]!r} in the path is not the token's"
            )
        incoming.context["route"] = route
        incoming.context["call"] = Call(incoming, context, variables, raw)

    def on_error(self, state: Any, error: Exception) -> webob.Response:
        """Render any error. ``errors.answer`` logs unforeseen ones."""
        return errors.answer(error)


class Root:
    """The root of ``/v1/{project_id}/...``. Passes every request to the controller that the table of routes names."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps

    @pecan.expose(content_type=_JSON)
    def call(self) -> webob.Response:
        """Call the controller's method. Every success is 200, even without content: old clients expect it."""
        route, call = pecan.request.context["route"], pecan.request.context["call"]
        value = getattr(route.controller(self._deps, call), route.name)()
        response = webob.Response(status=200, content_type=_JSON, charset=None)
        if value is not None:
            response.body = json.dumps(value).encode()
        return response


class Application(pecan.Pecan):
    """A Pecan application with one controller, which takes no arguments, and answers 200 without content.

    Pecan itself would answer 204, and inspect the signatures of controllers for each request, which takes longer than all
    the rest that it does.
    """

    def route(self, incoming: pecan.Request, root: Root, path: str) -> tuple[Any, list[str]]:
        """Return the controller."""
        return root.call, []

    def get_args(self, *ignored: Any) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """Return no arguments."""
        return [], [], {}

    def invoke_controller(self, controller: Any, args: Any, kwargs: Any, state: Any) -> None:
        """Answer with what the controller returns, a response."""
        state.response = controller()

    def _handle_empty_response_body(self, state: Any) -> None:
        pass


def application(deps: ServiceContext) -> pecan.Pecan:
    """Create the WSGI application behind the token check."""
    return Application(Root(deps), hooks=[RequestHook(deps)], force_canonical=False, guess_content_type_from_ext=False)
