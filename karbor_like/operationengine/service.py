"""The operation engine as a process: looks at what is due, works on runs, answers the API about trusts, shows it is alive."""

import logging
import os
from datetime import timedelta

import oslo_messaging
from oslo_config import cfg

from karbor_like import service
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import Clock, SystemClock
from karbor_like.context import RequestContext
from karbor_like.db import idempotency, scheduled_runs, services
from karbor_like.db.session import Database
from karbor_like.operationengine.runner import Runner
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.operationengine.trusts import Trusts
from karbor_like.plugins import loader
from karbor_like.rpc import notifications
from karbor_like.rpc import operationengine as rpc
from karbor_like.rpc import transport as rpc_transport
from karbor_like.secret import Cipher
from karbor_like.triggers import loader as triggers
from karbor_like.triggers.contract import Limits

LOG = logging.getLogger(__name__)

_CLEAN_SECONDS = 3600


class Endpoint:
    """What the API may ask over RPC."""

    def __init__(self, database: Database, trusts: Trusts, host: str) -> None:
        self._database = database
        self._trusts = trusts
        self._host = host

    def ping(self, ctxt: RequestContext) -> dict[str, str]:
        """Whether this engine is alive and reaches its database."""
        self._database.ping()
        return {"host": self._host}

    @oslo_messaging.expected_exceptions(Exception)
    def ensure_trust(self, ctxt: RequestContext) -> None:
        """See ``rpc/operationengine.py``."""
        self._trusts.ensure(ctxt)

    @oslo_messaging.expected_exceptions(Exception)
    def release_trust(self, ctxt: RequestContext, user_id: str, project_id: str) -> None:
        """See ``rpc/operationengine.py``."""
        self._trusts.release(user_id, project_id)


class OperationEngine(service.Service):
    """One of any number of engines on one database. Raises ConfigurationError where it cannot work with *conf*."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock | None = None) -> None:
        super().__init__()
        Limits.of(conf)
        self._conf = conf
        self._clock = clock or SystemClock()

    def start(self) -> None:
        """Begin to fire, to work and to answer."""
        conf, clock = self._conf, self._clock
        options = conf.operationengine
        self._database = Database(conf)
        notifications.attach(conf, self._database, service.OPERATION_ENGINE_BINARY, clock)
        self._trusts = trusts = Trusts(self._database, ClientFactory(conf), Cipher.from_conf(conf))
        self._scheduler = Scheduler(conf, self._database, clock, triggers.trigger_types())
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
        self._transport = rpc_transport.get(conf)
        target = oslo_messaging.Target(topic=rpc.TOPIC, server=conf.service.host, version=rpc.VERSION)
        self._server = rpc_transport.server(
            conf, self._transport, target, Endpoint(self._database, trusts, conf.service.host)
        )
        works = (
            service.Periodic("scheduler", lambda: options.poll_interval, self._fire, clock),
            service.Periodic("runner", lambda: options.poll_interval, self._runner.look, clock),
            service.Periodic("heartbeat", conf.service.report_interval, self._beat, clock),
            service.Periodic("cleaner", _CLEAN_SECONDS, self._clean, clock),
        )
        self._periodic = {periodic.name: periodic for periodic in works}
        self._server.start()
        for periodic in works:
            periodic.start()
        LOG.info("operation engine %s started", owner)

    def _enabled(self) -> bool:
        with self._database.reader() as session:
            mine = services.list_all(session, host=self._conf.service.host, binary=service.OPERATION_ENGINE_BINARY)
        return all(row.status == "enabled" for row in mine)

    def _fire(self) -> None:
        """An engine that an administrator disabled fires nothing; it still ends the runs it finds."""
        if self._enabled() and self._scheduler.fire():
            self._periodic["runner"].wake()

    def _beat(self) -> None:
        self._database.write(
            lambda session: services.beat(session, service.OPERATION_ENGINE_BINARY, self._conf.service.host)
        )

    def _clean(self) -> None:
        now = self._clock.now()
        kept = timedelta(days=self._conf.operationengine.keep_runs_days)
        self._database.write(lambda session: scheduled_runs.forget(session, now - kept))
        self._database.write(lambda session: idempotency.forget(session, now - idempotency.KEPT))
        self._trusts.sweep()

    def stop(self, graceful: bool = False) -> None:
        """End when the steps that are being done are done; each is short."""
        self._server.stop()
        self._server.wait()
        for periodic in self._periodic.values():
            periodic.stop()
        self._runner.stop()
        self._transport.cleanup()
        self._database.dispose()
        super().stop(graceful)
