"""Progress of an operation's resources, recorded in the database for the API to show."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import orm

from karbor_like.db import operations
from karbor_like.protection.operation.outage import OperationDatabase


class DatabaseProgressRecorder:
    """See :class:`karbor_like.plugins.protection.ProgressRecorder`. Thread-safe.

    Each record is a transaction. So progress is throttled, and sizes are recorded by :meth:`flush`. While the database is
    unavailable, progress is kept for the next record: no transfer waits for it.

    :param interval: minimum seconds between two records of progress. Steps do not count: the first bytes are shown at once,
        also those of a transfer that then stalls
    :param moved: called when bytes have moved
    """

    def __init__(
        self, database: OperationDatabase, resource_key: str, interval: float, moved: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = database.claim.clock
        self._operation_id = database.claim.operation_id
        self._key = resource_key
        self._interval = interval
        self._moved = moved
        self._lock = threading.Lock()
        self._recorded: float | None = None
        self._pending: dict[str, Any] = {}
        #: Whether bytes were reported, possibly none.
        self.knows_bytes = False
        #: The current step, for the message if it fails.
        self.current = ""

    def step(self, name: str) -> None:
        self.current = name
        with self._lock:
            values = self._take_pending() | {"step": name[:255]}
        self._record(values)

    def progress(self, done: int, total: int | None) -> None:
        self._moved()
        self.knows_bytes = True
        values: dict[str, Any] = {"bytes_done": done, "bytes_total": total}
        with self._lock:
            now = self._clock.monotonic()
            if self._recorded is not None and now - self._recorded < self._interval:
                self._pending.update(values)
                return
            values = self._take_pending() | values
            self._recorded = now
        self._record(values)

    def sizes(self, *, logical: int, new: int, stored: int) -> None:
        with self._lock:
            self._pending.update({"logical_bytes": logical, "new_bytes": new, "stored_bytes": stored})

    def flush(self) -> None:
        """Record the sizes and the last progress, if it was throttled. Call it when a hook ends.

        Raises LeaseLost.
        """
        with self._lock:
            values = self._take_pending()
        if values:
            self._database.write(lambda session: self._set(session, values))

    def _take_pending(self) -> dict[str, Any]:
        values, self._pending = self._pending, {}
        return values

    def _record(self, values: dict[str, Any]) -> None:
        if not self._database.try_write(lambda session: self._set(session, values)):
            with self._lock:
                self._pending = values | self._pending

    def _set(self, session: orm.Session, values: dict[str, Any]) -> None:
        operations.set_resource(session, self._operation_id, self._key, **values)
