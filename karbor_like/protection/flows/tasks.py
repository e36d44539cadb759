"""The tasks of all flows: one per hook of a resource, and their base class.

Tasks are stateless: a flow is rebuilt from its operation after a crash, and an interrupted task runs again. Any task may run
in another process than the task before it.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any

from taskflow import task

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protection import HookContext
from karbor_like.protection.operation import cleanup, members
from karbor_like.protection.operation.progress import DatabaseProgressRecorder
from karbor_like.protection.operation.session import OperationSession

LOG = logging.getLogger(__name__)


class Step(task.Task):
    """A task whose errors are plain text, and whose revert never fails.

    TaskFlow saves the arguments of an exception: one that is not JSON would end the flow without a revert. If a revert
    raises, the tasks before it are never reverted.
    """

    def __init__(self, operation: OperationSession, name: str) -> None:
        super().__init__(name=name)
        self.operation = operation

    def execute(self) -> dict[str, Any] | None:
        with self.operation.activity():
            try:
                return self.operation.waiting.outlast(self._attempt)
            except Exception as error:  # noqa: BLE001 - the border of a task
                if isinstance(error, errors.ConnectionFailed):
                    # This is no reason to undo anything: the next attempt continues here.
                    claim = self.operation.claim
                    claim.interrupt(f"{error.peer} does not answer ({self.name})", pause=claim.lease)
                elif isinstance(error, errors.LeaseLost):
                    # The next attempt takes another lease of the bank.
                    self.operation.claim.abandon(f"the lease of the bank was lost ({self.name})")
                # A lost claim is the cause of any other error, and nothing is saved any more.
                self.operation.claim.ensure_held()
                if isinstance(error, exception.Cancelled):
                    self.failed(error)
                    raise exception.Cancelled(self.describe(error)) from None
                LOG.exception("Operation %s: %s failed", self.operation.spec.id, self.name)
                self.operation.claim.fail(self.subject())
                self.failed(error)
                # Its type is counted when the operation has ended.
                kind = exception.KarborLikeError if isinstance(error, exception.LeaseLost) else exception.kind_of(error)
                raise kind(self.describe(error)) from None

    def _attempt(self) -> dict[str, Any] | None:
        self.operation.claim.check()
        return self.perform()

    def revert(self, **kwargs: Any) -> None:
        # The result, which may be a value, a Failure or None, is ignored: the journal records what was created.
        with self.operation.activity():
            try:
                self.operation.waiting.outlast(lambda: self.undo(kwargs.get("flow_failures") or {}))
            except exception.LeaseLost as error:
                # Nothing of this run is saved any more: the process that now holds the operation reverts this task.
                LOG.info("%s", error)
            except Exception:  # noqa: BLE001 - the border of a task; the runner retries the clean-up
                LOG.exception("Operation %s: reverting %s failed", self.operation.spec.id, self.name)

    def subject(self) -> str:
        """Return what the task is about, for messages."""
        return self.name

    def describe(self, error: BaseException) -> str:
        """Return the reason by which the operation fails."""
        return exception.public_text(error)

    def perform(self) -> dict[str, Any] | None:
        """Do the work of the task. Runs at least once."""
        return None

    def failed(self, error: BaseException) -> None:
        """Handle *error*, which :meth:`perform` raised."""

    def undo(self, failures: Mapping[str, Any]) -> None:
        """Undo :meth:`perform` as far as it got. Runs at least once."""


class HookTask(Step):
    """One hook of a resource's operation.

    :param last: whether it is the last task of the resource
    """

    def __init__(
        self, operation: OperationSession, resource: Resource, hook: str | None, name: str, *, last: bool
    ) -> None:
        super().__init__(operation, name)
        self.resource = resource
        self.hook = hook
        self.last = last
        self._recorder: DatabaseProgressRecorder | None = None

    def subject(self) -> str:
        return f"{self.resource.key} ({self.resource.name})" if self.resource.name else self.resource.key

    def describe(self, error: BaseException) -> str:
        step = self._recorder.current if self._recorder else ""
        return f"{self.subject()}: {step or self.hook or 'begin'}: {exception.public_text(error)}{self.operation.hint(error)}"

    def perform(self) -> dict[str, Any] | None:
        result = None
        if self.hook is not None:
            if self.operation.is_left_out(self.resource):
                return None
            self._recorder = self.operation.progress(self.resource)
            try:
                result = self._call()
            except exception.CheckpointNotFound:
                if self.operation.spec.kind is not OperationType.DELETE:
                    raise
                # The tombstone is written after all hooks: an earlier attempt, or another site, got that far.
            except members.FAILURES as error:
                reason = members.obstacle(self.operation, self.resource, error)
                if reason is None:
                    raise
                members.leave_out(self.operation, self.resource, reason)
                return None
            finally:
                self._recorder.flush()
        answer = result or {}
        for key, new_id in (answer.get("restored") or {}).items():
            self.operation.record(key, result_key=f"{key.partition('#')[0]}#{new_id}")
        if answer.get("remarks"):
            self.operation.record(self.resource.key, reason="; ".join(answer["remarks"]))
        if self.last:
            self.operation.record(self.resource.key, status=self.operation.statuses.resource_done)
        return result

    def _call(self) -> dict[str, Any] | None:
        operation = self.operation.resource_operation(self.resource)
        hook = getattr(operation, str(self.hook))
        assert self._recorder is not None
        if self.hook == "complete" and self.operation.spec.kind is OperationType.RESTORE:
            return self._complete(hook)
        if self.hook != "main":
            return hook(self.operation.hook_context(self.resource, self._recorder))
        with self.operation.transfer_slot():
            result = hook(self.operation.hook_context(self.resource, self._recorder))
        if not self._recorder.knows_bytes and self.operation.spec.kind is not OperationType.DELETE:
            # Otherwise the sum of all resources would never be known.
            self._recorder.progress(0, 0)
        return result

    def _complete(self, hook: Callable[[HookContext], dict[str, Any] | None]) -> dict[str, Any] | None:
        """Complete what the resource contributed to the template of a restore, then the resource itself."""
        assert self._recorder is not None
        context = self.operation.hook_context(self.resource, self._recorder)
        if not self.operation.implementing("contribute"):
            return hook(dataclasses.replace(context, template=self.operation.template))
        deployment = self.operation.deployment(context)
        remarks = deployment.complete(self.operation.contributed(self.resource))
        if self.resource == self.operation.implementing("contribute")[0]:
            remarks = [*filter(None, [self.operation.deployment_remark(context)]), *remarks]
        restored = {**context.restored, **self.operation.deployed_ids(deployment)}
        answer = hook(dataclasses.replace(context, template=self.operation.template, restored=restored)) or {}
        return {**answer, "remarks": [*remarks, *(answer.get("remarks") or [])]}

    def failed(self, error: BaseException) -> None:
        step = self._recorder.current if self._recorder else ""
        reason = ": ".join(filter(None, [step, exception.public_text(error)]))
        try:
            self.operation.record(self.resource.key, status=self.operation.statuses.resource_failed, reason=reason)
        except exception.LeaseLost as failure:
            LOG.warning(
                "Operation %s: the failure of %s is not recorded: %s", self.operation.spec.id, self.name, failure
            )


class BeginTask(HookTask):
    """The first task of a resource: its ``prepare_begin``, if it has one.

    It is reverted after all other tasks of the resource and its children, so its revert is the clean-up of the resource.
    """

    def perform(self) -> dict[str, Any] | None:
        spec, running = self.operation.spec, self.operation.statuses.resource_running
        # Bytes move in the main hook.
        moves = "main" in spec.hooks.get(self.resource.type, ()) or spec.kind is OperationType.DELETE
        total = {} if moves else {"bytes_total": 0}
        self.operation.record(self.resource.key, status=running, reason=None, **total)
        return super().perform()

    def undo(self, failures: Mapping[str, Any]) -> None:
        cleanup.clean(self.operation, self.resource)
