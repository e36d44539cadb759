"""The protection service: RPC server, executor and housekeeping of one process."""

import logging
from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_config import cfg

from karbor_like import allocator, service
from karbor_like.context import RequestContext
from karbor_like.db import migration
from karbor_like.heartbeat import Heartbeat
from karbor_like.metrics import health
from karbor_like.metrics.exporter import Exporter
from karbor_like.protection.banks import Banks
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.executor import Executor
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.rpc import protection, transport

LOG = logging.getLogger(__name__)


class ProtectionService(service.Service):
    """One protection service. Any number may run concurrently, on one host or on many."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__()
        self._conf = conf
        self._reload: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Check ``[upgrade_levels]`` and the schema of the database. Raises ConfigurationError, or DBError."""
        protection.ProtectionClient.called(self._conf)
        migration.check_of(self._conf)

    def start(self) -> None:
        """Start to answer calls and to run operations.

        :raises ConfigurationError: the configuration is unusable, or the database has another schema than this code
        """
        allocator.limit()
        self._env = env = ServiceContext.make(self._conf)
        self.parts.callback(env.close)
        self._reload = env.providers.load
        allocator.freeze()
        bus = transport.get(self._conf)
        self.parts.callback(transport.close, bus)
        self._client = protection.ProtectionClient(self._conf, bus)
        self.exporter = Exporter(self._conf, "protection_port", self.number, env.database, self._needs(), env.clock)
        self.parts.callback(self.exporter.stop)
        self.exporter.start()
        env.database.wait()
        if self.stopping:
            return
        migration.check(env.database)
        self._banks = Banks(env.clock)
        self._executor = Executor(env)
        target = oslo_messaging.Target(
            topic=protection.TOPIC, server=self._conf.service.host, version=protection.VERSION
        )
        server = transport.server(self._conf, bus, target, Endpoint(env, self._executor, self._wake))
        heartbeat = Heartbeat(
            self._conf, env.database, env.clock, service.PROTECTION_BINARY, env.watchdog, self._report
        )
        housekeeping = Housekeeping(env)
        self.parts.callback(env.watchdog.stop)
        self.parts.callback(heartbeat.stop)
        self.parts.callback(service.attempt, server.wait)
        self.parts.callback(lambda: self._executor.stop(self._conf.protection.drain))
        self.parts.callback(housekeeping.stop)
        self.parts.callback(server.stop)
        env.watchdog.start()
        heartbeat.start()
        self._executor.start()
        housekeeping.start()
        if server.start(lambda: self.stopping):
            LOG.info("The protection service is ready as %s", env.owner)

    def _needs(self) -> health.Checks:
        seconds = self._conf.metrics.timeout
        return {
            "database": lambda: migration.check_running(self._env.database),
            "rpc": lambda: self._client.ping(RequestContext(overwrite=False), timeout=seconds),
            "threads": lambda: health.check_threads(self._env.watchdog),
        }

    def _wake(self, context: RequestContext) -> None:
        self._executor.wake()
        if self._executor.is_full():
            self._client.wake(context)

    def _report(self) -> dict[str, Any]:
        return {"rpc": protection.VERSION, "providers": self._banks.report(self._env.providers.list())}

    def stop(self, graceful: bool = False) -> None:
        """Answer no new calls, and end or release running operations.

        Takes little more than ``[protection] drain`` seconds.
        """
        LOG.info("The protection service is stopping")
        super().stop(graceful)

    def reset(self) -> None:
        """Handle SIGHUP: reload the provider files. Running operations keep the providers that they have."""
        self._reload()
