"""The tasks of all flows: one per hook of a resource, and what stands around them.

Tasks hold no state that matters: a flow is rebuilt from its operation after a crash, and a task that was interrupted
runs again. Every task may be run by another process than the one before it.
"""

import logging
from collections.abc import Mapping
from typing import Any

from oslo_db import exception as db_exception
from oslo_utils import strutils
from taskflow import task

from karbor_like import exception
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)

#: Bytes of an unexpected error's text that are shown.
_MAX_TEXT = 500


def explain(error: BaseException) -> str:
    """*error* for the tenant. What the project did not raise itself may say anything, so it is shortened and masked."""
    if isinstance(error, exception.KarborLikeError):
        return error.message
    return f"unexpected {type(error).__name__}: {strutils.mask_password(str(error))[:_MAX_TEXT]}"


class Step(task.Task):
    """A task whose errors are plain text, and whose undoing never fails.

    TaskFlow saves the arguments of an exception: one that is not JSON would end the flow without a revert. And where a
    revert raises, the tasks before it are never reverted.
    """

    def __init__(self, scope: OperationSession, name: str) -> None:
        super().__init__(name=name)
        self.scope = scope

    def execute(self) -> dict[str, Any] | None:
        with self.scope.acting():
            try:
                self.scope.hold.check()
                return self.work()
            except Exception as error:  # noqa: BLE001 - the border of a task
                # Where the operation was lost that is the reason, whatever it looked like; and nothing is saved any more.
                self.scope.hold.ensure_held()
                if isinstance(error, exception.Cancelled):
                    self.failed(error)
                    raise exception.Cancelled(self.describe(error)) from None
                LOG.exception("Operation %s: %s failed", self.scope.work.id, self.name)
                self.scope.hold.fail(self.subject())
                self.failed(error)
                raise exception.KarborLikeError(self.describe(error)) from None

    def revert(self, **kwargs: Any) -> None:
        # Without its result, which may be a value, a Failure or None: what was done stands in the journal.
        with self.scope.acting():
            try:
                self.scope.hold.ensure_held()
                self.undo(kwargs.get("flow_failures") or {})
            except exception.LeaseLost as error:
                # Nothing of this run is saved any more: whoever holds the operation now reverts this task.
                LOG.info("%s", error)
            except Exception:  # noqa: BLE001 - the border of a task; the runner looks at what is left over
                LOG.exception("Operation %s: undoing %s failed", self.scope.work.id, self.name)

    def subject(self) -> str:
        """What the task is about, for people."""
        return self.name

    def describe(self, error: BaseException) -> str:
        """The text by which the operation fails."""
        return explain(error)

    def work(self) -> dict[str, Any] | None:
        """Do it. Runs at least once."""
        return None

    def failed(self, error: BaseException) -> None:
        """*error* was raised by :meth:`work`."""

    def undo(self, failures: Mapping[str, Any]) -> None:
        """Take it back, as far as it was done. Runs at least once."""


class HookTask(Step):
    """One hook of a resource's operation.

    :param last: whether the resource is done after it
    """

    def __init__(self, scope: OperationSession, resource: Resource, hook: str | None, name: str, *, last: bool) -> None:
        super().__init__(scope, name)
        self.resource = resource
        self.hook = hook
        self.last = last
        self._report: DatabaseProgressRecorder | None = None

    def subject(self) -> str:
        return f"{self.resource.key} ({self.resource.name})" if self.resource.name else self.resource.key

    def describe(self, error: BaseException) -> str:
        step = self._report.current if self._report else ""
        return f"{self.subject()}: {step or self.hook or 'begin'}: {explain(error)}"

    def work(self) -> dict[str, Any] | None:
        result = None
        if self.hook is not None:
            self._report = self.scope.report(self.resource)
            try:
                result = self._call()
            except exception.CheckpointNotFound:
                if self.scope.work.kind is not OperationType.DELETE:
                    raise
                # Its tombstone is put when all hooks have ended: an earlier attempt, or another site, came that far.
            finally:
                self._report.flush()
        told = result or {}
        for key, new_id in (told.get("restored") or {}).items():
            self.scope.record(key, result_key=f"{key.partition('#')[0]}#{new_id}")
        if told.get("remarks"):
            self.scope.record(self.resource.key, reason="; ".join(told["remarks"]))
        if self.last:
            self.scope.record(self.resource.key, status=self.scope.statuses.resource_done)
        return result

    def _call(self) -> dict[str, Any] | None:
        operation = self.scope.operation(self.resource)
        hook = getattr(operation, str(self.hook))
        assert self._report is not None
        if self.hook != "main":
            return hook(self.scope.run(self.resource, self._report))
        with self.scope.stream():
            return hook(self.scope.run(self.resource, self._report))

    def failed(self, error: BaseException) -> None:
        step = self._report.current if self._report else ""
        reason = f"{step}: {explain(error)}" if step else explain(error)
        try:
            self.scope.record(self.resource.key, status=self.scope.statuses.resource_failed, reason=reason)
        except (exception.LeaseLost, db_exception.DBError) as failure:
            LOG.warning("Operation %s: the failure of %s is not recorded: %s", self.scope.work.id, self.name, failure)


class BeginTask(HookTask):
    """The first task of a resource: its ``prepare_begin``, if it has one. It is reverted after all else of the resource and
    of its children, so its undoing is the clean-up of the resource.
    """

    def work(self) -> dict[str, Any] | None:
        self.scope.record(self.resource.key, status=self.scope.statuses.resource_running, reason=None)
        return super().work()

    def undo(self, failures: Mapping[str, Any]) -> None:
        clean(self.scope, self.resource)


def clean(scope: OperationSession, resource: Resource) -> None:
    """Remove from the cloud what the operation made for *resource*. Raises what the plugin's clean-up raises."""
    scope.operation(resource).cleanup(scope.undo_run(resource, scope.report(resource)))
