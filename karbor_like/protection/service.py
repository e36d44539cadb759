"""The protection service: RPC server, executor and housekeeping of one process."""

import logging

import oslo_messaging
from oslo_config import cfg
from oslo_db import exception as db_exception

from karbor_like import exception, service
from karbor_like.context import RequestContext
from karbor_like.db import migration, services
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

    def start(self) -> None:
        """Start to answer calls and to run operations.

        :raises ConfigurationError: the configuration is unusable, or the database has no tables
        """
        self._env = env = ServiceContext.make(self._conf)
        env.database.wait()
        if migration.version(env.database) is None:
            raise exception.ConfigurationError("the database has no tables yet: run 'karbor-like-manage db sync'")
        self._executor = Executor(env)
        self._transport = transport.get(self._conf)
        self._client = protection.ProtectionClient(self._conf, self._transport)
        target = oslo_messaging.Target(
            topic=protection.TOPIC, server=self._conf.service.host, version=protection.VERSION
        )
        self._server = transport.server(self._conf, self._transport, target, Endpoint(env, self._executor, self._wake))
        self._heartbeat = service.Periodic("the heartbeat", self._conf.service.report_interval, self._beat, env.clock)
        self._housekeeping = Housekeeping(env)
        self._heartbeat.start()
        self._executor.start()
        self._housekeeping.start()
        self._server.start()
        LOG.info("The protection service is ready as %s", env.owner)

    def _wake(self, context: RequestContext) -> None:
        self._executor.wake()
        if self._executor.is_full():
            self._client.wake(context)

    def _beat(self) -> None:
        host = self._conf.service.host
        try:
            self._env.database.write(lambda session: services.beat(session, service.PROTECTION_BINARY, host))
        except db_exception.DBDuplicateEntry:
            # Two processes of one host sent their first heartbeat concurrently.
            LOG.debug("Another process of %s has just registered", host)

    def stop(self, graceful: bool = False) -> None:
        """Answer no new calls, and end or release running operations.

        Takes little more than ``[protection] drain`` seconds.
        """
        LOG.info("The protection service is stopping")
        self._server.stop()
        self._housekeeping.stop()
        self._executor.stop(self._conf.protection.drain)
        self._server.wait()
        self._heartbeat.stop()
        transport.close(self._transport)
        self._env.close()
        super().stop(graceful)

    def reset(self) -> None:
        """Handle SIGHUP: reload the provider files. Running operations keep the providers that they have."""
        self._env.providers.load()
