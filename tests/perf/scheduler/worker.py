"""An engine of the benchmark, in its own module so that a spawned process can import it."""

import time
from typing import Any

from oslo_config import cfg

from karbor_like.clock import SystemClock
from karbor_like.conf import operationengine as options
from karbor_like.conf import trigger as trigger_options
from karbor_like.db.session import Database
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.triggers import loader
from tests.fixtures.database import open_database


def _conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group in (options, trigger_options):
        conf.register_opts(group.OPTS, group=group.GROUP)
    conf([])
    return conf


def scheduler(database: Database) -> Scheduler:
    return Scheduler(_conf(), database, SystemClock(), loader.trigger_types())


def engine(url: str, orders: Any, done: Any) -> None:
    database = open_database(url)
    fires = scheduler(database)
    database.ping()
    done.put(None)
    while (deadline := orders.get()) is not None:
        fired = 0
        while time.time() < deadline and (more := fires.fire()):
            fired += more
        done.put((time.time(), fired))
    database.dispose()
