"""The WSGI application: the pipeline that every request passes through."""

import logging
from collections.abc import Callable
from typing import Any

import webob
from keystoneauth1 import exceptions as keystone_errors
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _opts as auth_token_opts
from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi, sizelimit

from karbor_like import clock, exception, policy
from karbor_like.api import callers, errors, health, middleware, request, root, versions
from karbor_like.api.bulkhead import Bulkhead
from karbor_like.api.context import ServiceContext
from karbor_like.db.session import Database
from karbor_like.metrics import page
from karbor_like.metrics.figures import Figures
from karbor_like.rpc import transport
from karbor_like.rpc.operationengine import OperationEngineClient
from karbor_like.rpc.protection import ProtectionClient
from karbor_like.triggers.contract import Limits

LOG = logging.getLogger(__name__)

Application = Callable[..., Any]
Filter = Callable[[Application, cfg.ConfigOpts], Application]

_REQUEST_HEADERS = ["X-Auth-Token", "X-Openstack-Request-Id", "Idempotency-Key", "Content-Type"]
#: How the headers of proxies begin, as names of WSGI.
_BY_PROXIES = ("HTTP_FORWARDED", "HTTP_X_FORWARDED")
_RESPONSE_HEADERS = ["X-Openstack-Request-Id", "X-Compute-Request-Id", "Retry-After"]

#: Default seconds to wait for a connection to Keystone, and for the next bytes of its answer.
_KEYSTONE_SECONDS = 5


def keystone(application: Application, conf: cfg.ConfigOpts, time: clock.Clock | None = None) -> Application:
    """Add the token check: keystonemiddleware, configured by ``[keystone_authtoken]``.

    A Keystone that does not answer causes 503 in time. Tokens in the cache need no Keystone.
    """
    # The library has no limit by default, and more retries.
    cfg.set_defaults(auth_token_opts._OPTS, http_connect_timeout=_KEYSTONE_SECONDS, http_request_max_retries=1)
    conf.register_opts(auth_token_opts._OPTS, group="keystone_authtoken")
    cached = conf.keystone_authtoken.token_cache_time
    seconds = callers.seconds_of(cached)
    known = callers.Callers(seconds, time or clock.SystemClock())
    options = {"oslo_config_config": conf, "token_cache_time": cached - seconds}
    check = auth_token.AuthProtocol(known.remembering(application), options)

    def checked(environ: Any, start_response: Any) -> Any:
        if known.recall(environ):
            return application(environ, start_response)
        try:
            return check(environ, start_response)
        except keystone_errors.ClientException as error:
            # The library answers errors of Keystone itself, but not that it cannot be reached.
            LOG.warning("Keystone does not answer: %s", error)
            raise exception.Unavailable("Keystone does not answer; try again later") from None

    return checked


def create_context(conf: cfg.ConfigOpts) -> ServiceContext:
    """Create the dependencies of the controllers. To be called once per process, after the fork.

    Raises ConfigurationError if options contradict each other.
    """
    Limits.of(conf)
    bus = transport.get(conf)
    database = Database(conf)
    time = clock.SystemClock()
    waiting = Bulkhead.of(conf, time)
    return ServiceContext(
        conf=conf,
        database=database,
        protection=ProtectionClient(conf, bus, guard=waiting.place),
        engine=OperationEngineClient(conf, bus, guard=waiting.place),
        enforcer=policy.make_enforcer(conf),
        clock=time,
        begin_request=waiting.begin,
    )


def build(deps: ServiceContext, authenticate: Filter = keystone) -> Application:
    """Build the application.

    :param authenticate: adds the token check; tests without Keystone pass another one
    """
    conf = deps.conf
    # A request to version 1 passes through these in reverse order.
    v1 = authenticate(root.application(deps), conf)
    v1 = _for_bodies(v1, conf)
    v1 = middleware.ErrorFormatter(v1)
    parts: dict[str, Application] = {
        "v1": v1,
        "healthcheck": health.Healthcheck(deps),
        "document": versions.document(),
        "versions": versions.versions(conf),
    }

    if conf.metrics.api_route:
        parts["metrics"] = page.Metrics(Figures(conf, deps.database, deps.clock))

    def front(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        try:
            name = _part(webob.Request(environ).path_info)
            if name != "v1":
                environ[middleware.ROUTE] = name
            part = parts.get(name, parts["versions"])
        except UnicodeDecodeError:
            part = errors.answer(exception.MalformedRequest("the path is not UTF-8"))
        return part(environ, start_response)

    # Every request passes through these in reverse order.
    application = _for_proxies(front, conf)
    application = _for_browsers(application, conf)
    return middleware.RequestId(middleware.Counted(application, deps.clock), conf)


def _for_bodies(application: Application, conf: cfg.ConfigOpts) -> Application:
    """Add the limit to the size of bodies, ``[oslo_middleware] max_request_body_size``."""
    limited = sizelimit.RequestBodySizeLimiter(application, conf)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return (limited if request.has_body(environ) else application)(environ, start_response)

    return choose


def _for_proxies(application: Application, conf: cfg.ConfigOpts) -> Application:
    """Add what the headers of proxies change, if ``[oslo_middleware] enable_proxy_headers_parsing`` is set."""
    forwarded = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        by_proxy = any(name.startswith(_BY_PROXIES) for name in environ)
        return (forwarded if by_proxy else application)(environ, start_response)

    return choose


def _for_browsers(application: Application, conf: cfg.ConfigOpts) -> Application:
    """Add the rules for scripts of other origins, which browsers send."""
    cors.set_defaults(allow_headers=_REQUEST_HEADERS, expose_headers=_RESPONSE_HEADERS)
    checked = cors.CORS(application, conf)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        from_browser = "HTTP_ORIGIN" in environ or environ["REQUEST_METHOD"] == "OPTIONS"
        return (checked if from_browser else application)(environ, start_response)

    return choose


def _part(path: str) -> str:
    if path.rstrip("/") == "/healthcheck":
        return "healthcheck"
    if path == page.METRICS_PATH:
        return "metrics"
    if path == versions.DOCUMENT_PATH:
        return "document"
    return "v1" if path == "/v1" or path.startswith("/v1/") else "versions"
