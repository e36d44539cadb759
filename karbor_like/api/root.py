"""The Pecan application: takes each request apart, finds its route and turns what comes of it into an answer."""

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
    """The border of a request: what comes in is read here, and every error ends here."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps
        self._router = Router(v1.ROUTES)

    def on_route(self, state: Any) -> None:
        """Read the request before Pecan does, which would let malformed ones through, or fall over them."""
        incoming = state.request
        # Settles Pecan's negotiation: this API speaks JSON only, and dots in ids are no file name extensions.
        incoming.pecan["content_type"] = _JSON
        context = request.identity(incoming, self._deps.enforcer)
        _, project_id, segments = _taken_apart(incoming.path_info)
        found = self._router.find(incoming.method, segments)
        if found is None:
            raise errors.RouteNotFound("The resource could not be found.")
        route, variables = found
        query, body = request.query(incoming), request.body(incoming)
        incoming.body = b""
        if context.project_id is None or project_id != context.project_id:
            raise exception.WrongProject(
                f"Malformed request url: the project {project_id[:64]!r} in the path is not the token's"
            )
        incoming.context["route"] = route
        incoming.context["call"] = Call(incoming, context, variables, query, body)

    def on_error(self, state: Any, error: Exception) -> webob.Response:
        """The one border where any error is caught; ``errors.answer`` logs what nobody foresaw."""
        return errors.answer(error)


def _taken_apart(path: str) -> tuple[str, str, list[str]]:
    """``/v1/{project_id}/...``: the version, the project, and what the table of routes is about."""
    parts = path.strip("/").split("/")
    return parts[0], parts[1] if len(parts) > 1 else "", parts[2:]


class Root:
    """``/v1/{project_id}/...``: leads every request to the controller that the table of routes names."""

    def __init__(self, deps: ServiceContext) -> None:
        self._deps = deps

    @pecan.expose()
    def _route(self, path: list[str], incoming: pecan.Request) -> tuple[Any, list[str]]:
        return self.call, []

    @pecan.expose(content_type=_JSON)
    def call(self) -> webob.Response:
        """Call the controller's method. Every success is 200, without content too: old clients know no other."""
        route, call = pecan.request.context["route"], pecan.request.context["call"]
        value = getattr(route.controller(self._deps, call), route.name)()
        response = webob.Response(status=200, content_type=_JSON, charset=None)
        if value is not None:
            response.body = json.dumps(value).encode()
        return response


class Application(pecan.Pecan):
    """Pecan would answer 204 where there is no content."""

    def _handle_empty_response_body(self, state: Any) -> None:
        pass


def application(deps: ServiceContext) -> pecan.Pecan:
    """The WSGI application behind the token check."""
    return Application(Root(deps), hooks=[RequestHook(deps)], force_canonical=False, guess_content_type_from_ext=False)
