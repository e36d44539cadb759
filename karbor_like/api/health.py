"""``/healthcheck``: checks the database, and the protection services.

It is cheap and needs no token. A check that waits for a peer occupies one thread, no matter how many clients ask.
"""

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

import webob
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import pluginbase

from karbor_like import exception, service
from karbor_like.api import errors
from karbor_like.api.context import ServiceContext
from karbor_like.clock import Clock
from karbor_like.context import RequestContext
from karbor_like.db import migration, services
from karbor_like.metrics import health
from karbor_like.shared import SharedAnswer

#: Seconds that a check may last beyond ``[api] health_timeout``.
_MARGIN: Final = 1.0

Results = Sequence[pluginbase.HealthcheckResult]


class _Check:
    """One check: one line of the answer."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self._name = name
        self._ask = ask

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        found = health.look(self._name, self._ask)
        return pluginbase.HealthcheckResult(found.good, found.line)


class SharedCheck:
    """Runs one check at a time, in a thread of its own, and shares its answer: see :class:`karbor_like.shared.SharedAnswer`.

    :param run: the check, which may hang
    :param patience: seconds after which a check that lasts for longer is itself the answer
    """

    def __init__(self, run: Callable[[], Results], patience: float, clock: Clock) -> None:
        late = pluginbase.HealthcheckResult(False, f"health: the check has lasted longer than {patience:g} s")
        self._answer = SharedAnswer[Results]("health", run, patience, clock, late=[late], failed=_unexpected)

    def results(self) -> Results:
        """Return the results of a check."""
        return self._answer.get()


def _unexpected(error: Exception) -> Results:
    return [pluginbase.HealthcheckResult(False, f"health: unexpected {type(error).__name__}")]


class _Backends:
    """Looks like the checks of oslo.middleware, and is the results of the shared check."""

    def __init__(self, shared: SharedCheck) -> None:
        self._shared = shared

    def __iter__(self) -> Iterator[Any]:
        for result in self._shared.results():
            yield SimpleNamespace(obj=SimpleNamespace(healthcheck=lambda port, result=result: result))


class Healthcheck(healthcheck.Healthcheck):
    """The health check of oslo.middleware with the checks of this service in addition to the configured ones."""

    def __init__(self, deps: ServiceContext) -> None:
        super().__init__(None, deps.conf)
        timeout = deps.conf.api.health_timeout
        own = [
            _Check(name, check) for name, check in {**needs(deps), "protection": lambda: check_protection(deps)}.items()
        ]
        # Entry points are the other way to add checks. Their objects are created without the dependencies.
        checks: list[Any] = [*(extension.obj for extension in self._backends if extension.obj), *own]
        port = deps.conf.api.port
        shared = SharedCheck(lambda: [check.healthcheck(port) for check in checks], timeout + _MARGIN, deps.clock)
        self._backends = _Backends(shared)  # type: ignore[assignment]

    def process_request(self, req: webob.Request) -> webob.Response:
        """Answer the health check."""
        response = super().process_request(req)
        if response.status_int in errors.RETRY_AFTER:
            response.headers["Retry-After"] = errors.RETRY_AFTER[response.status_int]
        return response


def needs(deps: ServiceContext) -> health.Checks:
    """Return the checks of what a process of the API needs."""
    timeout = deps.conf.api.health_timeout
    return {
        "database": lambda: migration.check_running(deps.database),
        "rpc": lambda: deps.protection.ping(RequestContext(overwrite=False), timeout=timeout),
    }


def check_protection(deps: ServiceContext) -> None:
    """Check the latest reports of the protection services.

    :raises Unavailable: none of them works, or none of those that work has loaded a provider
    """
    with deps.database.reader() as session:
        rows = services.list_all(session, binary=service.PROTECTION_BINARY)
        down_time = deps.conf.service.down_time
        alive = [row for row in rows if services.is_up(session, row, down_time)]
    if rows and not alive:
        raise exception.Unavailable(f"no service has sent a heartbeat for {down_time} seconds")
    working = [row for row in alive if not services.hung(row)]
    if alive and not working:
        raise exception.Unavailable(f"threads of every service hang; {service.PROTECTION_BINARY} restarts them later")
    if working and not any(map(services.has_providers, working)):
        raise exception.Unavailable("no provider is loaded; check the providers' files")
