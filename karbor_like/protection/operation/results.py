"""What the resources of an operation have come to so far, as far as the hooks of other resources depend on it."""

import threading
from collections.abc import Mapping
from typing import Any

from karbor_like.db import operations
from karbor_like.domain import states
from karbor_like.protection.operation.outage import OperationDatabase


class Results:
    """The resources that were restored, and those that were left out. Thread-safe.

    They are read at the first use, and then remembered: each hook asks for them, so that reading all rows again would take
    time quadratic in the number of resources. What is remembered cannot be outdated: every write of these columns is fenced
    by the claim, so that no other process writes any while this one holds the operation. A process that takes it over reads
    them after it has claimed the operation.
    """

    def __init__(self, database: OperationDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._is_read = False
        self._restored: dict[str, str] = {}
        self._left_out: set[str] = set()

    def restored(self) -> dict[str, str]:
        """Return the ids of what was restored, by the original ``Type#id``. Raises LeaseLost."""
        with self._lock:
            self._ensure_read()
            return dict(self._restored)

    def is_left_out(self, resource_key: str) -> bool:
        """Return whether the operation has left a resource out. Raises LeaseLost."""
        with self._lock:
            self._ensure_read()
            return resource_key in self._left_out

    def note(self, resource_key: str, values: Mapping[str, Any]) -> None:
        """Remember columns of a resource's row. Call it after they are committed.

        The lock makes it wait for a read that has begun, which may have missed the commit.
        """
        with self._lock:
            self._note(resource_key, values)

    def _ensure_read(self) -> None:
        self._database.claim.ensure_held()
        if self._is_read:
            return
        operation_id = self._database.claim.operation_id
        for row in self._database.read(lambda session: operations.resources_of(session, [operation_id])):
            self._note(row.resource_key, {"status": row.status, "result_key": row.result_key})
        self._is_read = True

    def _note(self, key: str, values: Mapping[str, Any]) -> None:
        if values.get("result_key"):
            self._restored[key] = values["result_key"].partition("#")[2]
        if values.get("status") == states.LEFT_OUT:
            self._left_out.add(key)
        elif "status" in values:
            self._left_out.discard(key)
