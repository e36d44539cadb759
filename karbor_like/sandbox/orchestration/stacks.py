"""Stacks, and the engine that creates and deletes their resources in the background.

A stack that an engine was creating or deleting when the sandbox ended stays as it is, as in Heat.
"""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.identity import accounts as accounts_module
from karbor_like.sandbox.identity import tokens as tokens_module
from karbor_like.sandbox.orchestration import kinds, templates
from karbor_like.sandbox.orchestration.cloud import Cloud

KIND = "stack"
POLL = 0.05
"""Seconds between two requests for a resource that is not ready."""
TITLES = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict"}
"""Names of the errors of other services."""


class Stacks:
    """The stacks of all projects.

    :param application: returns the sandbox's WSGI application, by which the engine calls the other services
    """

    def __init__(
        self,
        store: state.Store,
        clock: clocks.Clock,
        work: jobs.Jobs,
        accounts: accounts_module.Accounts,
        tokens: tokens_module.Tokens,
        application: Callable[[], Callable[..., Any]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._jobs = work
        self._accounts = accounts
        self._tokens = tokens
        self._application = application
        #: Held while one resource of a stack is created, so that a deletion does not miss its id.
        self._steps: collections.defaultdict[str, threading.Lock] = collections.defaultdict(threading.Lock)

    def check_token(self, caller: web.Identity) -> None:
        """Refuse tokens with which Keystone creates no trust, as Heat does: without an explanation.

        :raises ApiError: 500
        """
        try:
            token = self._tokens.validate(caller.token_id)
        except errors.ApiError:
            token = None
        if token is None or token["trust_id"] or token["credential_id"]:
            raise errors.ApiError(500, "Internal Error")

    def create(
        self, caller: web.Identity, name: str, template: templates.Template, strikes: faults.Strikes
    ) -> state.Document:
        """Create a stack of a checked template in the background.

        :raises ApiError: 409 if the project has a stack of that name, 500 for a delegated token
        """
        with self._store.transaction():
            if self.named(caller, name):
                raise errors.conflict(f"The Stack ({name}) already exists.")
            self.check_token(caller)
            stack: state.Document = {
                "id": web.new_id(),
                "name": name,
                "project_id": caller.project_id,
                "user_id": caller.user_id,
                "status": "CREATE_IN_PROGRESS",
                "reason": "Stack CREATE started",
                "template": {**template},
                "created_at": self._now(),
                "events": [],
                "resources": {
                    each: {"type": resource["type"], "key": "", "status": "INIT_COMPLETE", "reason": ""}
                    for each, resource in (template.get("resources") or {}).items()
                },
            }
            self._store.put(KIND, stack["id"], stack)
        self._start(stack, self._build, "CREATE", strikes)
        return stack

    def delete(self, stack: state.Document, strikes: faults.Strikes) -> None:
        """Delete a stack in the background. It remains as DELETE_COMPLETE."""
        if stack["status"] != "DELETE_COMPLETE":
            self._set(stack["id"], "DELETE_IN_PROGRESS", "Stack DELETE started")
            self._start(stack, self._remove, "DELETE", strikes)

    def all(self, caller: web.Identity) -> list[state.Document]:
        """Return the stacks of the caller's project that were not deleted."""
        found = [stack for stack in self._store.all(KIND) if stack["project_id"] == caller.project_id]
        return [stack for stack in found if stack["status"] != "DELETE_COMPLETE"]

    def named(self, caller: web.Identity, name: str) -> state.Document | None:
        return next((stack for stack in self.all(caller) if stack["name"] == name), None)

    def get(self, caller: web.Identity, key: str) -> state.Document:
        """Return a stack by its name, or by its id even if it was deleted.

        :raises ApiError: 404
        """
        stack = self._store.get(KIND, key)
        stack = stack if stack and stack["project_id"] == caller.project_id else self.named(caller, key)
        if stack is None:
            raise errors.not_found(f"The Stack ({key}) could not be found.")
        return stack

    # the engine

    def _start(
        self, stack: state.Document, step: Callable[[str, Cloud], None], action: str, strikes: faults.Strikes
    ) -> None:
        key = stack["id"]

        def work() -> None:
            roles = self._accounts.roles(stack["user_id"], stack["project_id"])
            grant = tokens_module.Grant(stack["user_id"], stack["project_id"], roles, ["password"])
            token, _ = self._tokens.issue(grant)
            try:
                step(key, Cloud(self._application(), token))
            finally:
                self._tokens.revoke(token)

        def failed(reason: str) -> None:
            current = self._store.get(KIND, key) or {}
            if current.get("status") == f"{action}_IN_PROGRESS":
                self._set(key, f"{action}_FAILED", f"Resource {action} failed: {reason}")

        self._jobs.start(work, failed, strikes)

    def _build(self, key: str, cloud: Cloud) -> None:
        template = self._stack(key)["template"]
        for name in templates.ordered(template):
            kind = kinds.KINDS[template["resources"][name]["type"]]
            with self._steps[key]:
                stack = self._stack(key)
                if stack["status"] != "CREATE_IN_PROGRESS":
                    return
                self._jobs.check()
                self._set_resource(key, name, "CREATE_IN_PROGRESS", "state changed")
                ids = {each: resource["key"] for each, resource in stack["resources"].items()}
                values = templates.properties(template, name, ids)
                with self._attempt(key, name, "CREATE"):
                    made = kind.create(cloud, values)
                self._set_resource(key, name, "CREATE_IN_PROGRESS", "state changed", made)
            with self._attempt(key, name, "CREATE"):
                self._until(kind.ready, cloud, made)
            self._set_resource(key, name, "CREATE_COMPLETE", "state changed")
        if self._stack(key)["status"] == "CREATE_IN_PROGRESS":
            self._set(key, "CREATE_COMPLETE", "Stack CREATE completed successfully")

    def _remove(self, key: str, cloud: Cloud) -> None:
        with self._steps[key]:
            stack = self._stack(key)
        for name in reversed(templates.ordered(stack["template"])):
            resource = stack["resources"][name]
            if not resource["key"] or resource["status"] == "DELETE_COMPLETE":
                continue
            self._jobs.check()
            self._set_resource(key, name, "DELETE_IN_PROGRESS", "state changed")
            with self._attempt(key, name, "DELETE"):
                self._delete_one(cloud, resource)
            self._set_resource(key, name, "DELETE_COMPLETE", "state changed")
        self._set(key, "DELETE_COMPLETE", "Stack DELETE completed successfully")

    def _delete_one(self, cloud: Cloud, resource: state.Document) -> None:
        kind = kinds.KINDS[resource["type"]]
        try:
            kind.delete(cloud, resource["key"])
        except errors.ApiError as error:
            if error.status != 404:
                raise
        self._until(kind.gone, cloud, resource["key"])

    @contextlib.contextmanager
    def _attempt(self, key: str, name: str, action: str) -> Iterator[None]:
        """Do something for a resource in the block; on failure mark it.

        :raises JobFailed: with the reason of the stack
        """
        try:
            yield
        except (errors.ApiError, errors.JobFailed) as error:
            title = TITLES.get(getattr(error, "status", 0), "ResourceFailure")
            reason = f"{title}: resources.{name}: {error.message}"
            self._set_resource(key, name, f"{action}_FAILED", reason)
            raise errors.JobFailed(reason) from None

    def _until(self, done: Callable[[Cloud, str], bool], cloud: Cloud, key: str) -> None:
        while not done(cloud, key):
            self._clock.wait(self._jobs.stopping, POLL)
            self._jobs.check()

    def _stack(self, key: str) -> state.Document:
        stack = self._store.get(KIND, key)
        assert stack is not None  # noqa: S101 - stacks remain for ever
        return stack

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _set(self, key: str, status: str, reason: str) -> None:
        with self._store.transaction():
            stack = self._stack(key)
            stack["events"].append(self._event(stack["name"], "OS::Heat::Stack", key, status, reason))
            self._store.put(KIND, key, stack | {"status": status, "reason": reason})

    def _set_resource(self, key: str, name: str, status: str, reason: str, made: str | None = None) -> None:
        with self._store.transaction():
            stack = self._stack(key)
            resource = stack["resources"][name]
            resource |= {"status": status, "reason": reason, "key": resource["key"] if made is None else made}
            stack["events"].append(self._event(name, resource["type"], resource["key"], status, reason))
            self._store.put(KIND, key, stack)

    def _event(self, name: str, kind: str, key: str, status: str, reason: str) -> dict[str, Any]:
        return {
            "id": web.new_id(),
            "event_time": self._now(),
            "resource_name": name,
            "logical_resource_id": name,
            "physical_resource_id": key,
            "resource_type": kind,
            "resource_status": status,
            "resource_status_reason": reason,
        }
