"""The heartbeat of a service: its row in the list of services, with what each of its processes reports of itself."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exception

from karbor_like import service
from karbor_like.clock import Clock
from karbor_like.db import services
from karbor_like.db.session import Database
from karbor_like.watchdog import Watchdog

LOG = logging.getLogger(__name__)


class Heartbeat:
    """Sends the heartbeats of one process every ``[service] report_interval`` seconds.

    :param binary: name of the service
    :param watchdog: of the service; its hangs are reported
    :param report: returns what the service reports in addition, as JSON
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        clock: Clock,
        binary: str,
        watchdog: Watchdog,
        report: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._options = conf.service
        self._database = database
        self._binary = binary
        self._process = f"process {os.getpid()}"
        self._watchdog = watchdog
        self._report = report
        self._periodic = service.Periodic("the heartbeat", self._options.report_interval, self.beat, clock, watchdog)

    def start(self) -> None:
        """Start to send."""
        self._periodic.start()

    def stop(self) -> None:
        """Send no more, and remove the report of this process."""
        if not self._periodic.stop():
            return
        try:
            self._database.write(
                lambda session: services.leave(session, self._binary, self._options.host, self._process)
            )
        except db_exception.DBError as error:
            LOG.debug("The report of %s stays until it is too old: %s", self._process, error)

    def beat(self) -> None:
        """Send one heartbeat."""
        hung = [{"name": hang.name, "seconds": hang.seconds} for hang in self._watchdog.hangs()]
        report = {"hung": hung, **self._report()}
        try:
            self._database.write(
                lambda session: services.beat(
                    session, self._binary, self._options.host, self._process, report, keep=self._options.down_time
                )
            )
        except db_exception.DBDuplicateEntry:
            # Two processes of one host sent their first heartbeat concurrently.
            LOG.debug("Another process of %s has just registered", self._options.host)
