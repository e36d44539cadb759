"""The operation engine as a process: it fires triggers, runs scheduled operations, manages trusts and sends heartbeats."""

import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta

import oslo_messaging
from oslo_config import cfg

from karbor_like import service, watchdog
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import Clock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.db import idempotency, migration, scheduled_runs, services
from karbor_like.db.session import Database
from karbor_like.heartbeat import Heartbeat
from karbor_like.metrics import health
from karbor_like.metrics.exporter import Exporter
from karbor_like.operationengine import rpo
from karbor_like.operationengine.runner import Runner
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.operationengine.trusts import Trusts
from karbor_like.plugins import loader
from karbor_like.rpc import notifications
from karbor_like.rpc import operationengine as rpc
from karbor_like.rpc import transport as rpc_transport
from karbor_like.rpc.server import rpc_method
from karbor_like.secret import Cipher
from karbor_like.triggers import loader as triggers
from karbor_like.triggers.contract import Limits
from karbor_like.watchdog import Watchdog

LOG = logging.getLogger(__name__)

_CLEAN_SECONDS = 3600
#: Seconds that steps in progress get to end when the engine stops. A step that does not is repeated by another engine.
_STOP_SECONDS = 30.0


def clean(database: Database, now: datetime, age: timedelta, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """Delete the records of runs that ended more than *age* ago, and of requests that clients can no longer repeat.

    :param is_stopping: whether to leave the rest of the runs for the next time
    """
    # In batches, until none is left: the schedules of a large site have more runs than one batch between two cleanings.
    while not is_stopping() and database.write(lambda session: scheduled_runs.forget(session, now - age)):
        watchdog.tick()
    database.write(lambda session: idempotency.forget(session, now - idempotency.KEPT))


class Endpoint:
    """RPC endpoint for the API."""

    target = oslo_messaging.Target(version=rpc.VERSION)

    def __init__(self, database: Database, trusts: Trusts, host: str) -> None:
        self._database = database
        self._trusts = trusts
        self._host = host

    @rpc_method
    def ping(self, ctxt: RequestContext) -> dict[str, str]:
        """Check that this engine responds and reaches its database."""
        self._database.ping()
        return {"host": self._host}

    @rpc_method
    def make_trust(self, ctxt: RequestContext, scheduled_operation_id: str) -> None:
        """Create the caller's trust for a scheduled operation; see ``rpc/operationengine.py``."""
        self._trusts.make(ctxt, scheduled_operation_id)

    @rpc_method
    def delete_trust(self, ctxt: RequestContext, trust_id: str) -> None:
        """Delete a released trust; see ``rpc/operationengine.py``."""
        self._trusts.delete(trust_id)


class OperationEngine(service.Service):
    """An operation engine. Any number of them can share one database.

    :raises ConfigurationError: the limits in ``[trigger]`` contradict each other
    """

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock | None = None) -> None:
        super().__init__()
        Limits.of(conf)
        self._conf = conf
        self._clock = clock or SystemClock()

    def check(self) -> None:
        """Check ``[upgrade_levels]`` and the schema of the database. Raises ConfigurationError, or DBError."""
        rpc.OperationEngineClient.called(self._conf)
        migration.check_of(self._conf)

    def start(self) -> None:
        """Start the periodic tasks and the RPC server."""
        conf, clock = self._conf, self._clock
        options = conf.operationengine
        self._database = Database(conf)
        self.parts.callback(self._database.dispose)
        self._watchdog = dog = Watchdog(clock, conf.service.hung_time)
        bus = rpc_transport.get(conf)
        self.parts.callback(rpc_transport.close, bus)
        self._client = rpc.OperationEngineClient(conf, bus)
        self.exporter = Exporter(conf, "operationengine_port", self.number, self._database, self._needs(), clock)
        self.parts.callback(self.exporter.stop)
        self.exporter.start()
        self._database.wait()
        if self.stopping:
            return
        migration.check(self._database)
        notifications.attach(conf, self._database, service.OPERATION_ENGINE_BINARY, clock)
        trusts = Trusts(self._database, ClientFactory(conf), Cipher.from_conf(conf), options.follow_interval)
        types = triggers.trigger_types()
        self._scheduler = Scheduler(conf, self._database, clock, types)
        objectives = rpo.Objectives(conf, self._database, clock, types)
        owner = f"{conf.service.host}:{os.getpid()}"
        self._runner = Runner(
            conf,
            self._database,
            clock,
            trusts,
            loader.operation_types(),
            owner,
            lambda: self._periodic["runner"].wake(),
        )
        target = oslo_messaging.Target(topic=rpc.TOPIC, server=conf.service.host, version=rpc.VERSION)
        server = rpc_transport.server(conf, bus, target, Endpoint(self._database, trusts, conf.service.host))
        periodics = (
            service.Periodic("scheduler", lambda: options.poll_interval, self._fire, clock, dog),
            service.Periodic("runner", lambda: options.poll_interval, self._runner.poll, clock, dog),
            service.Periodic("trusts", lambda: options.follow_interval, trusts.sweep, clock, dog),
            service.Periodic("objectives", rpo.INTERVAL, objectives.check, clock, dog),
            service.Periodic("cleaner", _CLEAN_SECONDS, self._clean, clock, dog),
        )
        heartbeat = Heartbeat(
            conf, self._database, clock, service.OPERATION_ENGINE_BINARY, dog, lambda: {"rpc": rpc.VERSION}
        )
        self._periodic = {periodic.name: periodic for periodic in periodics}
        self.parts.callback(dog.stop)
        self.parts.callback(heartbeat.stop)
        self.parts.callback(service.attempt, self._runner.stop, _STOP_SECONDS)
        for periodic in periodics:
            self.parts.callback(periodic.stop)
        self.parts.callback(service.attempt, server.wait)
        self.parts.callback(server.stop)
        dog.start()
        heartbeat.start()
        for periodic in periodics:
            periodic.start()
        if server.start(lambda: self.stopping):
            LOG.info("operation engine %s started", owner)

    def _needs(self) -> health.Checks:
        seconds = self._conf.metrics.timeout
        return {
            "database": lambda: migration.check_running(self._database),
            "rpc": lambda: self._client.ping(RequestContext(overwrite=False), timeout=seconds),
            "threads": lambda: health.check_threads(self._watchdog),
        }

    def _is_enabled(self) -> bool:
        with self._database.reader() as session:
            rows = services.list_all(session, host=self._conf.service.host, binary=service.OPERATION_ENGINE_BINARY)
        return all(row.status == "enabled" for row in rows)

    def _fire(self) -> None:
        """Fire due triggers, unless an administrator disabled this engine. A disabled engine still completes runs."""
        if self._is_enabled() and self._scheduler.fire():
            self._periodic["runner"].wake()

    def _clean(self) -> None:
        age = timedelta(days=self._conf.operationengine.keep_runs_days)
        clean(self._database, self._clock.now(), age, lambda: self.stopping)
