"""What a running operation waits for, as its reason says it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from karbor_like.bank import errors
from karbor_like.db import operations
from karbor_like.protection.operation import outage
from karbor_like.protection.operation.outage import OperationDatabase

T = TypeVar("T")


class Waiting:
    """Says in the reason of a running operation that it waits for a bank or a key manager, and since when. Thread-safe.

    :param shown: whether the reason says so already, from an earlier attempt
    """

    def __init__(self, database: OperationDatabase, *, shown: bool) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._shown = shown

    def outlast(self, call: Callable[[], T]) -> T:
        """Return the result of *call*, which is repeated during an outage: see :func:`.outage.outlast`."""

        def failed(error: Exception, seconds: float) -> None:
            if isinstance(error, errors.ConnectionFailed):
                since = self._database.claim.clock.now() - timedelta(seconds=seconds)
                self._begin(f"waiting for {error.peer} since {since:%Y-%m-%d %H:%M:%S} UTC")

        result = outage.outlast(self._database.claim, call, failed)
        self.end()
        return result

    def end(self) -> None:
        """Say no longer that the operation waits: it got an answer."""
        if self._shown:
            with self._lock:
                self._shown = not self._show(None)

    def _begin(self, text: str) -> None:
        # What an earlier attempt has said is kept, because it names the earlier time.
        with self._lock:
            self._shown = self._shown or self._show(text)

    def _show(self, text: str | None) -> bool:
        claim = self._database.claim
        return self._database.try_write(lambda session: operations.show_wait(session, claim.record, text))
