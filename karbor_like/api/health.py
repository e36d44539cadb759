"""What ``/healthcheck`` asks: whether the database answers, and whether a protection service does over the bus."""

from collections.abc import Callable
from types import SimpleNamespace

from oslo_db import exception as db_exception
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import pluginbase

from karbor_like import exception
from karbor_like.api.context import ServiceContext
from karbor_like.context import RequestContext


class _Check:
    """One line of the answer."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self._name = name
        self._ask = ask

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        try:
            self._ask()
        except exception.KarborLikeError as error:
            return pluginbase.HealthcheckResult(False, f"{self._name}: {error.message}")
        except db_exception.DBError:
            # Anybody may ask, and the text of a database error may hold its address.
            return pluginbase.HealthcheckResult(False, f"{self._name}: does not answer")
        return pluginbase.HealthcheckResult(True, f"{self._name}: OK")


class Healthcheck(healthcheck.Healthcheck):
    """oslo.middleware's answer, with this service's own checks beside those that are configured."""

    def __init__(self, deps: ServiceContext) -> None:
        super().__init__(None, deps.conf)
        timeout = deps.conf.api.health_timeout
        checks = (
            _Check("database", deps.database.ping),
            _Check("rpc", lambda: deps.protection.ping(RequestContext(overwrite=False), timeout=timeout)),
        )
        # Its other way in is an entry point, whose objects are made without what the checks need.
        more = [SimpleNamespace(obj=check) for check in checks]
        self._backends = [*self._backends, *more]  # type: ignore[assignment]
