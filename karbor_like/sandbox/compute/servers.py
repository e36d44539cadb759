"""Servers: records with states. No virtual machine runs."""

from collections.abc import Collection
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, state, web

VM_STATES = {
    "ACTIVE": "active",
    "BUILD": "building",
    "ERROR": "error",
    "PAUSED": "paused",
    "SHELVED_OFFLOADED": "shelved_offloaded",
    "SHUTOFF": "stopped",
    "SUSPENDED": "suspended",
}
CHANGEABLE = ("ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF")
"""States in which the metadata and tags of a server can be changed."""


class Servers:
    """The records of all servers of all projects."""

    def __init__(self, store: state.Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    def now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def all(self) -> list[state.Document]:
        return self._store.all("server")

    def get(self, caller: web.Identity, key: str) -> state.Document:
        """Return a server.

        :raises ApiError: 404, also for a server of another project
        """
        server = self._store.get("server", key)
        if server is None or not caller.may_see(server["project_id"]):
            raise errors.not_found(f"Instance {key} could not be found.")
        return server

    def find(self, key: str) -> state.Document | None:
        """Return a server of any project, if it still exists."""
        return self._store.get("server", key)

    def add(self, server: state.Document) -> None:
        now = self.now()
        self._store.put("server", server["id"], {**server, "created_at": now, "updated_at": now})

    def change(self, key: str, **fields: Any) -> state.Document | None:
        """Change fields, if the server exists."""
        return self._store.change("server", key, updated_at=self.now(), **fields)

    def remove(self, key: str) -> None:
        self._store.delete("server", key)

    def fail(self, key: str, reason: str) -> None:
        """Move a server to the state ``ERROR``."""
        self.change(key, status="ERROR", task_state=None, fault=reason)


def require_state(server: state.Document, action: str, statuses: Collection[str], *, idle: bool = True) -> None:
    """Check that a server has one of the statuses, and by default that nothing is being done with it.

    :raises ApiError: 409
    """
    attribute, value = "vm_state", VM_STATES[server["status"]]
    if server["status"] in statuses:
        attribute, value = "task_state", server["task_state"]
        if value is None or not idle:
            return
    raise errors.conflict(f"Cannot '{action}' instance {server['id']} while it is in {attribute} {value}")


def require_unlocked(caller: web.Identity, server: state.Document) -> None:
    """Check that a server is not locked, except for administrators.

    :raises ApiError: 409
    """
    if server["locked_by"] and not caller.is_admin:
        raise errors.conflict(f"Instance {server['id']} is locked")
