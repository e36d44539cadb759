"""Actions that change the state of a server in the background."""

from dataclasses import dataclass
from typing import Any

import webob

from karbor_like.sandbox import errors, jobs, state, web
from karbor_like.sandbox.compute import api, disks, servers


@dataclass(frozen=True)
class Step:
    """A change of the state of a server.

    :param name: the action in messages
    :param allowed: states in which a server can take the step
    :param task: state of the task meanwhile
    :param status: state of the server afterwards
    """

    name: str
    allowed: tuple[str, ...]
    task: str
    status: str


STEPS = {
    "pause": Step("pause", ("ACTIVE",), "pausing", "PAUSED"),
    "unpause": Step("unpause", ("PAUSED",), "unpausing", "ACTIVE"),
    "suspend": Step("suspend", ("ACTIVE",), "suspending", "SUSPENDED"),
    "resume": Step("resume", ("SUSPENDED",), "resuming", "ACTIVE"),
    "os-stop": Step("stop", ("ACTIVE", "ERROR"), "powering-off", "SHUTOFF"),
    "os-start": Step("start", ("SHUTOFF",), "powering-on", "ACTIVE"),
    "unshelve": Step("unshelve", ("SHELVED_OFFLOADED",), "unshelving", "ACTIVE"),
}


class Actions:
    """Changes the states of servers, and locks them."""

    def __init__(self, records: servers.Servers, store: state.Store, work: jobs.Jobs, disk_store: disks.Disks) -> None:
        self._servers = records
        self._store = store
        self._jobs = work
        self._disks = disk_store

    def take(self, call: web.Call, key: str, step: Step) -> webob.Response:
        """Change the state of a server in the background. If that fails, its state remains as it was.

        :raises ApiError: 404, 409
        """
        with self._store.transaction():
            self._require(call, key, step.name, step.allowed)
            self._servers.change(key, task_state=step.task)

        def work() -> None:
            with self._store.transaction():
                server = self._servers.find(key)
                if server is None or server["task_state"] != step.task:
                    return  # it is being deleted
                if server["status"] == "SHELVED_OFFLOADED":
                    self._disks.attach_all(call.identity, server)
                self._servers.change(key, status=step.status, task_state=None, fault=None)

        def failed(reason: str) -> None:
            with self._store.transaction():
                server = self._servers.find(key)
                if server and server["task_state"] == step.task:
                    self._servers.change(key, task_state=None)

        self._jobs.start(work, failed, call.strikes)
        return web.answer(202)

    def shelve(self, call: web.Call, key: str) -> webob.Response:
        """Shelve and offload a server now.

        :raises ApiError: 404, 409
        """
        with self._store.transaction():
            server = self._require(call, key, "shelve", servers.CHANGEABLE)
            self._disks.reserve_all(server)
            self._servers.change(key, status="SHELVED_OFFLOADED")
        return web.answer(202)

    def lock(self, call: web.Call, key: str, reason: str | None) -> webob.Response:
        """Lock a server."""
        server = self._servers.get(call.identity, key)
        by = "owner" if server["project_id"] == call.identity.project_id else "admin"
        self._servers.change(key, locked_by=by, locked_reason=reason)
        return web.answer(202)

    def unlock(self, call: web.Call, key: str) -> webob.Response:
        """Unlock a server.

        :raises ApiError: 403, if an administrator locked it
        """
        if self._servers.get(call.identity, key)["locked_by"] == "admin":
            api.require_admin(call, "os_compute_api:os-lock-server:unlock:unlock_override")
        self._servers.change(key, locked_by=None, locked_reason=None)
        return web.answer(202)

    def _require(self, call: web.Call, key: str, name: str, allowed: tuple[str, ...]) -> state.Document:
        server = self._servers.get(call.identity, key)
        servers.require_unlocked(call.identity, server)
        servers.require_state(server, name, allowed)
        return server


def parse(call: web.Call) -> tuple[str, Any]:
    """Return name and parameters of the action in the body.

    :raises ApiError: 400
    """
    body = call.json()
    if not isinstance(body, dict) or len(body) != 1:
        raise errors.bad_request("The body must be an object with one action in it.")
    ((name, values),) = body.items()
    return name, values
