"""``/healthcheck``: checks the database, and the protection services.

It is cheap and needs no token. A check that waits for a peer occupies one thread, no matter how many clients ask.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from types import SimpleNamespace
from typing import Any, Final

import webob
from oslo_db import exception as db_exception
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import pluginbase

from karbor_like import exception, service
from karbor_like.api import errors
from karbor_like.api.context import ServiceContext
from karbor_like.clock import Clock
from karbor_like.context import RequestContext
from karbor_like.db import migration, services

#: Seconds for which the latest answer is given to those who ask while a check is running.
_FRESH: Final = 60.0
#: Seconds that a check may last beyond ``[api] health_timeout``.
_MARGIN: Final = 1.0

Results = Sequence[pluginbase.HealthcheckResult]


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


class SharedCheck:
    """Runs one check at a time, in a thread of its own, and shares its answer.

    Callers that ask while a check is running get the latest answer if that is not too old, and otherwise wait for the running
    check. No caller waits for longer than *patience*. A check that lasts for longer is itself the answer, until it has ended.

    :param run: the check, which may hang
    :param patience: seconds
    """

    def __init__(self, run: Callable[[], Results], patience: float, clock: Clock) -> None:
        self._run = run
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._running: futures.Future[Results] | None = None
        self._latest: tuple[float, Results] | None = None

    def results(self) -> Results:
        """Return the results of a check."""
        with self._lock:
            running = self._running
            latest = self._latest
            if running is None:
                running = self._running = futures.Future()
                threading.Thread(target=self._work, args=(running,), name="health", daemon=True).start()
            elif latest is not None and self._clock.monotonic() <= latest[0] + _FRESH:
                return latest[1]
        try:
            return running.result(self._patience)
        except futures.TimeoutError:
            late = pluginbase.HealthcheckResult(False, f"health: the check has lasted longer than {self._patience:g} s")
            with self._lock:
                if self._running is running:
                    self._latest = self._clock.monotonic(), [late]
            return [late]

    def _work(self, running: "futures.Future[Results]") -> None:
        try:
            results = self._run()
        except Exception as error:  # noqa: BLE001 - the border of a thread
            results = [pluginbase.HealthcheckResult(False, f"health: unexpected {type(error).__name__}")]
        with self._lock:
            self._latest = self._clock.monotonic(), results
            self._running = None
        running.set_result(results)


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
            _Check("database", lambda: migration.check(deps.database)),
            _Check("rpc", lambda: deps.protection.ping(RequestContext(overwrite=False), timeout=timeout)),
            _Check("protection", lambda: check_protection(deps)),
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
