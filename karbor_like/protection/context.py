"""The collaborators of the protection service, built once per process."""

import os
from dataclasses import dataclass

from oslo_config import cfg

from karbor_like import service
from karbor_like.clients.factory import ClientFactory
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import Clock, SystemClock
from karbor_like.db.session import Database
from karbor_like.plugins import loader
from karbor_like.protection.rates import Rates
from karbor_like.protection.registry.protectables import Protectables
from karbor_like.protection.registry.providers import Providers
from karbor_like.protection.slots import TransferSlots
from karbor_like.protection.workflow.engine import Flows
from karbor_like.rpc import notifications
from karbor_like.secret import Cipher
from karbor_like.watchdog import Watchdog


@dataclass(frozen=True)
class ServiceContext:
    """The collaborators of one process. Built after the fork.

    :param owner: the name under which this process claims operations; unique to the process and its start
    """

    conf: cfg.ConfigOpts
    clock: Clock
    watchdog: Watchdog
    database: Database
    cipher: Cipher
    clients: ClientFactory
    waiter: Waiter
    providers: Providers
    protectables: Protectables
    flows: Flows
    transfer_slots: TransferSlots
    rates: Rates
    owner: str

    @classmethod
    def make(cls, conf: cfg.ConfigOpts, clock: Clock | None = None) -> "ServiceContext":
        """Build everything from *conf*. Raises ConfigurationError; a faulty provider file is only logged."""
        clock = clock or SystemClock()
        database = Database(conf)
        notifications.attach(conf, database, service.PROTECTION_BINARY, clock)
        providers = Providers(conf, clock)
        providers.load()
        return cls(
            conf=conf,
            clock=clock,
            watchdog=Watchdog(clock, conf.service.hung_time),
            database=database,
            cipher=Cipher.from_conf(conf),
            clients=ClientFactory(conf),
            waiter=Waiter.from_conf(conf, clock),
            providers=providers,
            protectables=Protectables(loader.protectables()),
            flows=Flows(conf, database),
            transfer_slots=TransferSlots(conf.protection.max_streams),
            rates=Rates(conf, clock),
            owner=f"{conf.service.host}:{os.getpid()}:{clock.now():%Y%m%dT%H%M%S}",
        )

    def close(self) -> None:
        """Release threads and connections."""
        self.flows.close()
        self.providers.close()
        self.database.dispose()
