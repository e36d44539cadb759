"""The WSGI application: it selects the service by prefix, injects faults, authenticates, routes and logs."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import webob

from karbor_like.sandbox import errors, faults, jobs, web

LOG = logging.getLogger(__name__)


class Authenticator(Protocol):
    """Identifies the caller by the token headers."""

    def identify(self, token: str, service_token: str | None) -> web.Identity | None: ...


class Application:
    """All services behind one WSGI callable."""

    def __init__(
        self,
        services: Sequence[web.Service],
        authenticator: Authenticator,
        switchboard: faults.Switchboard,
        work: jobs.Jobs,
    ) -> None:
        self._services = {service.prefix: service for service in services}
        self._authenticator = authenticator
        self._switchboard = switchboard
        self._jobs = work

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = webob.Request(environ)
        path = web.raw_path(environ)
        prefix, slash, rest = path.lstrip("/").partition("/")
        service = self._services.get(prefix)
        if service is None:
            return self._index(request)(environ, start_response)
        below = slash + rest or "/"
        if service.name == "sandbox":
            log, strikes = faults.LoggedCall(service.name, request.method, below), faults.Strikes()
        else:
            log, strikes = self._switchboard.enter(service.name, request.method, below, request.query_string)
        call = web.Call(request, below, strikes, self._interrupt)
        try:
            response = self._serve(service, call, log)
        except (errors.ShortBody, errors.Stopping) as error:
            LOG.debug("%s %s: %s", request.method, path, error)
            environ[web.HANGUP]()
            raise BrokenPipeError(32, str(error)) from error
        log.status = response.status_int
        response.headers["X-Openstack-Request-Id"] = f"req-{web.new_id()}"
        if not call.anonymous:
            log.project_id = call.identity.project_id
        return self._outgoing(call, response(environ, start_response), log)

    def _index(self, request: webob.Request) -> webob.Response:
        return web.answer(404, {"services": {s.name: f"{request.host_url}/{p}" for p, s in self._services.items()}})

    def _serve(self, service: web.Service, call: web.Call, log: faults.LoggedCall) -> webob.Response:
        try:
            response = self._struck(call) or self._answer(service, call)
        except errors.ApiError as error:
            response = service.render(error)
            response.headers.update(error.headers)
        service.finish(call, response)
        self._drain(call)
        return response

    def _struck(self, call: web.Call) -> webob.Response | None:
        """Apply the faults that act before a call is processed."""
        if fault := call.strikes.find(faults.DELAY):
            self._jobs.stopping.wait(fault.seconds)
        for kind in (faults.CUT, faults.STALL):
            fault = call.strikes.find(kind, "request")
            if fault and not (fault.after_bytes and call.has_body):
                raise self._interrupt(fault)
        if fault := call.strikes.find(faults.STATUS):
            return web.text(fault.status, fault.body, "text/plain", fault.headers)
        return None

    def _answer(self, service: web.Service, call: web.Call) -> webob.Response:
        missing: errors.ApiError | None = None
        try:
            route, arguments = service.find(call.method, call.path)
        except errors.ApiError as error:
            route, arguments, missing = None, {}, error
        token = call.headers.get("X-Auth-Token")
        if token:
            call.identity = self._authenticator.identify(token, call.headers.get("X-Service-Token"))
        if call.anonymous and not (route and route.public):
            raise errors.ApiError(
                401,
                "The request you have made requires authentication.",
                {"WWW-Authenticate": f'Keystone uri="{call.base_url}/identity"'},
            )
        if route is None:
            raise missing or errors.not_found("The resource could not be found.")
        project = service.project_of(call.path, arguments)
        if project is not None and not call.anonymous and not call.identity.may_see(project):
            raise errors.forbidden("The project of the token differs from the project in the URL.")
        return route.handler(call, **arguments)

    def _drain(self, call: web.Call) -> None:
        """Read the rest of the body: a response before its end would not reach the client."""
        for _ in call.chunks():
            pass

    def _interrupt(self, fault: faults.Fault) -> Exception:
        if fault.kind == faults.STALL:
            try:
                self._jobs.hold(fault)
            except errors.Stopping as error:
                return error
        return web.Cut(f"fault {fault.id} ({fault.kind})")

    def _outgoing(self, call: web.Call, body: Iterable[bytes], log: faults.LoggedCall) -> Iterable[bytes]:
        fault = call.strikes.find(faults.CUT, "response") or call.strikes.find(faults.STALL, "response")
        if fault is None:
            return body
        return self._interrupted(call, body, fault, log)

    def _interrupted(
        self, call: web.Call, body: Iterable[bytes], fault: faults.Fault, log: faults.LoggedCall
    ) -> Iterator[bytes]:
        """Send ``after_bytes`` of the body, then carry out the fault, unless the body has fewer.

        A fault after a complete response would strike the next request on the same connection, whichever that is.
        """
        left = fault.after_bytes
        try:
            for chunk in body if left else ():
                yield chunk[:left]
                left -= len(chunk[:left])
                if not left:
                    break
        finally:
            if hasattr(body, "close"):
                body.close()
        if left:
            return
        log.status = 0
        error = self._interrupt(fault)
        call.request.environ[web.HANGUP]()
        raise BrokenPipeError(32, str(error))
