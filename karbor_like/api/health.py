"""``/healthcheck``: checks the database, and a protection service over the message bus."""

from collections.abc import Callable
from types import SimpleNamespace

import webob
from oslo_db import exception as db_exception
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import pluginbase

from karbor_like import exception
from karbor_like.api import errors
from karbor_like.api.context import ServiceContext
from karbor_like.context import RequestContext


class _Check:
    """One check: one line of the answer."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self._name = name
        self._ask = ask

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        try:
            self._ask()
        except exception.KarborLikeError as error:
            return pluginbase.HealthcheckResult(False, f"{self._name}: {error.message}")
        except db_exception.DBError:
            # The route needs no token, and the text of a database error may contain its address.
            return pluginbase.HealthcheckResult(False, f"{self._name}: does not answer")
        return pluginbase.HealthcheckResult(True, f"{self._name}: OK")


class Healthcheck(healthcheck.Healthcheck):
    """The health check of oslo.middleware with the checks of this service in addition to the configured ones."""

    def __init__(self, deps: ServiceContext) -> None:
        super().__init__(None, deps.conf)
        timeout = deps.conf.api.health_timeout
        checks = (
            _Check("database", deps.database.ping),
            _Check("rpc", lambda: deps.protection.ping(RequestContext(overwrite=False), timeout=timeout)),
        )
        # Entry points are the other way to add checks. Their objects are created without the dependencies.
        more = [SimpleNamespace(obj=check) for check in checks]
        self._backends = [*self._backends, *more]  # type: ignore[assignment]

    def process_request(self, req: webob.Request) -> webob.Response:
        """Answer the health check."""
        response = super().process_request(req)
        if response.status_int in errors.RETRY_AFTER:
            response.headers["Retry-After"] = errors.RETRY_AFTER[response.status_int]
        return response
