"""Progress of an operation's resources, recorded in the database for the API to show."""

import logging
import threading
from typing import Any

from oslo_db import exception as db_exception

from karbor_like.clock import Clock
from karbor_like.db import operations
from karbor_like.db.session import Database

LOG = logging.getLogger(__name__)


class DatabaseProgressRecorder:
    """See :class:`karbor_like.plugins.protection.ProgressRecorder`. Thread-safe.

    A record that the database refuses is logged and dropped: progress is not worth failing a backup.

    :param interval: minimum seconds between two records of progress
    """

    def __init__(self, database: Database, clock: Clock, operation_id: str, resource_key: str, interval: float) -> None:
        self._database = database
        self._clock = clock
        self._operation_id = operation_id
        self._key = resource_key
        self._interval = interval
        self._lock = threading.Lock()
        self._recorded: float | None = None
        self._pending: dict[str, Any] | None = None
        #: The current step, for the message if it fails.
        self.current = ""

    def step(self, name: str) -> None:
        self.current = name
        self._record({"step": name[:255]})

    def progress(self, done: int, total: int | None) -> None:
        values = {"bytes_done": done, "bytes_total": total}
        with self._lock:
            now = self._clock.monotonic()
            if self._recorded is not None and now - self._recorded < self._interval:
                self._pending = values
                return
            self._recorded, self._pending = now, None
        self._record(values)

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        self._record({"logical_bytes": logical, "new_bytes": new, "stored_bytes": stored})

    def flush(self) -> None:
        """Record the last progress that was throttled."""
        with self._lock:
            values, self._pending = self._pending, None
        if values:
            self._record(values)

    def _record(self, values: dict[str, Any]) -> None:
        try:
            self._database.write(
                lambda session: operations.set_resource(session, self._operation_id, self._key, **values)
            )
        except db_exception.DBError as error:
            LOG.warning("Operation %s: %s of %s not recorded: %s", self._operation_id, values, self._key, error)
