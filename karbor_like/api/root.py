"""The Pecan application: parses each request, finds its route, calls the controller and renders the answer."""

import json
from typing import Any

import pecan
import webob
from pecan import core, hooks

from karbor_like import exception
from karbor_like.api import errors, middleware, request
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
        """Read the request, and find its route."""
        self._deps.begin_request()
        incoming = state.request
        context = request.read_identity(incoming, self._deps.enforcer)
        project_id, segments = request.read_path(incoming)
        match = self._router.find(incoming.method, segments)
        if match is None:
            raise errors.RouteNotFound("The resource could not be found.")
        route, variables = match
        # The rest is parsed when it is known that the caller may make the request.
        raw = incoming.body if request.has_body(incoming.environ) else b""
        if context.project_id is None or project_id != context.project_id:
            raise exception.WrongProject(
                f"Malformed request url: the project {project_id[:64]!r} in the path is not the token's"
            )
        incoming.context["route"] = route
        incoming.environ[middleware.ROUTE] = route.path
        incoming.context["call"] = Call(incoming, context, variables, raw)

    def on_error(self, state: Any, error: Exception) -> webob.Response:
        """Render any error. ``errors.answer`` logs unforeseen ones."""
        return errors.answer(error)


class Root:
    """The root of ``/v1/{project_id}/...``. Passes every request to the controller that the table of routes names."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps

    @pecan.expose(content_type=_JSON)
    def call(self, incoming: webob.Request) -> webob.Response:
        """Call the controller's method. Every success is 200, even without content: old clients expect it."""
        route, call = incoming.context["route"], incoming.context["call"]
        value = getattr(route.controller(self._deps, call), route.name)()
        response = webob.Response(status=200, content_type=_JSON, charset=None)
        if value is not None:
            response.body = json.dumps(value).encode()
        return response


class Application(core.PecanBase):
    """A Pecan application with one controller, which takes the request, and answers 200 without content.

    Pecan itself would answer 204. It would also compare media types, parse a body and inspect the signatures of controllers
    for each request, which takes longer than all the rest that it does.
    """

    def find_controller(self, state: core.RoutingState) -> tuple[Any, list[Any], dict[str, Any]]:
        """Run the hook, and return the controller."""
        self.handle_hooks(self.hooks, "on_route", state)
        state.controller = self.root.call
        return state.controller, [], {}

    def invoke_controller(self, controller: Any, args: Any, kwargs: Any, state: core.RoutingState) -> None:
        """Answer with what the controller returns, a response."""
        state.response = controller(state.request)

    def _handle_empty_response_body(self, state: core.RoutingState) -> None:
        pass


def application(deps: ServiceContext) -> core.PecanBase:
    """Create the WSGI application behind the token check."""
    return Application(Root(deps), hooks=[RequestHook(deps)], request_cls=webob.Request, response_cls=webob.Response)
