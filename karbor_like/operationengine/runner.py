"""Execution of recorded runs: start the operation, follow its checkpoint, retry within the window, and record the result.

A run proceeds in short steps, each of which any engine can perform. A step claims the run, makes one or two API calls,
records the result and the time of the next step, and releases the claim.

Failures are handled by their kind. If the user's trust was revoked, no run can succeed, so the operation is disabled. If the
plan or the provider does not exist, the run fails. All other failures may be temporary, and the run is retried while its
window lasts. A run that has a checkpoint is followed until the checkpoint reaches a final status.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.db import scheduled_runs
from karbor_like.db import session as db_session
from karbor_like.db.models import ScheduledOperation, ScheduledRun
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.metrics import families
from karbor_like.operationengine.restapi import RestApi
from karbor_like.operationengine.trusts import TrustLost, Trusts
from karbor_like.plugins import operation as plugins

LOG = logging.getLogger(__name__)

#: Statuses of a deleted checkpoint. It is not retried, because its owner does not want it.
_UNWANTED = (states.DELETING, states.DELETED, states.ERROR_DELETING)
#: Maximum attempts of the step that follows an available checkpoint.
_MAX_FINISH_ATTEMPTS = 10
#: Maximum delay of a retry, in retry intervals.
_MAX_BACKOFF = 10
#: Errors that are unrelated to the run: the API or Keystone is unreachable, or rejects the service's own account.
_OUTAGES = (exception.Unavailable, exception.ConfigurationError)


class DefinitionLost(exception.NotFound):
    """The plan or the provider of the operation does not exist, according to the API."""


@dataclass(frozen=True)
class _Job:
    """A claimed run and the collaborators of its next step."""

    run: ScheduledRun
    operation: ScheduledOperation
    kind: plugins.ScheduledOperationType
    api: RestApi


class Runner:
    """Performs the steps of pending runs in a pool of threads.

    :param types: the operation types by name
    :param owner: name of this engine in claims (informational)
    :param on_idle: called when a worker becomes free and more runs may be pending
    :param jitter: returns numbers from 0 to 1, which spread the retries of runs that failed at the same time
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        clock: Clock,
        trusts: Trusts,
        types: Mapping[str, plugins.ScheduledOperationType],
        owner: str,
        on_idle: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = conf.operationengine
        self._database = database
        self._clock = clock
        self._trusts = trusts
        self._types = types
        self._owner = owner
        self._on_idle = on_idle
        self._jitter = jitter
        self._pool = futures.ThreadPoolExecutor(self._options.workers, thread_name_prefix="run")
        self._working: set[futures.Future[None]] = set()
        self._lock = threading.Lock()
        #: Whether the last poll found at least as many runs as there were free workers.
        self._more = False

    def stop(self) -> None:
        """Wait for the steps in progress, and start no others."""
        self._on_idle = lambda: None
        self._pool.shutdown(wait=True)

    def wait(self) -> None:
        """Wait for the steps in progress; others may start afterwards."""
        with self._lock:
            working = set(self._working)
        futures.wait(working)

    def poll(self) -> int:
        """Start one step of each pending run, at most as many as there are free workers.

        :returns: number of steps started
        """
        now = self._clock.now()
        with self._lock:
            free = self._options.workers - len(self._working)
        self._more = free <= 0
        if self._more:
            return 0
        with self._database.reader() as session:
            if not scheduled_runs.has_pending(session, now):
                return 0
        runs = self._database.write(
            lambda session: scheduled_runs.claim(session, self._owner, now, self._options.lease, free)
        )
        self._more = len(runs) == free
        for run in runs:
            future = self._pool.submit(self._process, run)
            with self._lock:
                self._working.add(future)
            future.add_done_callback(self._on_done)
        return len(runs)

    def _on_done(self, future: futures.Future[None]) -> None:
        with self._lock:
            self._working.discard(future)
        if self._more:
            self._on_idle()

    def _process(self, run: ScheduledRun) -> None:
        try:
            self._step(run)
        except Exception as error:  # noqa: BLE001 - outermost function of the thread: the run must not be lost
            LOG.exception("run %s of scheduled operation %s: unexpected error", run.id, run.scheduled_operation_id)
            try:
                if run.checkpoint_id is not None and db_session.unavailable(error):
                    self._release(run, self._options.follow_interval)
                else:
                    self._retry(run, f"unexpected error: {type(error).__name__}", unsure=True)
            except Exception:  # noqa: BLE001 - as above; when the claim expires, another engine continues
                LOG.exception(
                    "run %s of scheduled operation %s: cannot be recorded", run.id, run.scheduled_operation_id
                )

    def _step(self, run: ScheduledRun) -> None:
        with self._database.reader() as session:
            operation = SCHEDULED_OPERATIONS.find(session, run.scheduled_operation_id)
        if operation is None:
            return self._end(run, scheduled_runs.FAILED, "the scheduled operation was deleted")
        kind = self._types.get(operation.operation_type)
        if kind is None:
            return self._end(run, scheduled_runs.FAILED, f"no plugin for type {operation.operation_type!r}")
        try:
            self._call_api(run, operation, kind)
        except TrustLost as error:
            text = exception.public_text(error)
            if not self._disable(operation, run, text):
                # The operation has another trust meanwhile.
                return self._retry(run, text)
            self._end(run, scheduled_runs.FAILED, text)
        except DefinitionLost as error:
            self._end(run, scheduled_runs.FAILED, exception.public_text(error))
        except _OUTAGES as error:
            if run.checkpoint_id is None:
                # A request without a response may have been carried out.
                return self._retry(run, exception.public_text(error), unsure=isinstance(error, exception.Unavailable))
            # Regardless of the length of the outage: it does not affect the checkpoint.
            LOG.warning("run %s: %s", run.id, error)
            self._release(run, self._options.follow_interval)
        except exception.KarborLikeError as error:
            self._retry(run, exception.public_text(error))

    def _call_api(self, run: ScheduledRun, operation: ScheduledOperation, kind: plugins.ScheduledOperationType) -> None:
        clients = self._trusts.act_by(run.trust_id, fresh=run.checkpoint_id is None)
        job = _Job(run, operation, kind, RestApi(clients.adapter("data_protect")))
        try:
            (self._begin if run.checkpoint_id is None else self._follow)(job)
        except exception.NotAuthorized:
            # Either the API denies this to the user, or the trust was revoked meanwhile. Only Keystone knows which.
            self._trusts.act_by(run.trust_id, fresh=True)
            raise

    def _begin(self, job: _Job) -> None:
        if self._clock.now() > job.run.window_ends_at:
            return self._handle_late(job)
        if not job.operation.enabled:
            return self._end(job.run, scheduled_runs.SKIPPED, "the operation was disabled before the run started")
        try:
            checkpoint_id = job.kind.begin(job.api, self._describe(job))
        except (exception.ResourceFailed, exception.NotFound) as error:
            self._check_definition(job, error)
            raise
        return self._release(job.run, self._options.follow_interval, checkpoint_id=checkpoint_id)

    def _handle_late(self, job: _Job) -> None:
        """End a run whose window has ended, unless a request without a response has started a checkpoint: follow that."""
        definition = job.operation.operation_definition
        if job.run.epoch > 1:
            checkpoint_id = job.api.find(
                definition["provider_id"], definition["plan_id"], self._describe(job).extra_info
            )
            if checkpoint_id is not None:
                return self._release(job.run, 0, checkpoint_id=checkpoint_id)
        if job.run.reason:
            return self._end(job.run, scheduled_runs.FAILED, job.run.reason)
        return self._end(job.run, scheduled_runs.MISSED, "no engine started it within its window")

    def _check_definition(self, job: _Job, error: exception.KarborLikeError) -> None:
        """Check that the plan and the provider exist, after the API refused a request.

        :raises DefinitionLost: one of them does not exist
        """
        definition = job.operation.operation_definition
        for noun in ("plan", "provider"):
            if not job.api.exists(f"{noun}s", definition[f"{noun}_id"]):
                reason = exception.public_text(error)
                raise DefinitionLost(f"{noun} {definition[f'{noun}_id']}: does not exist: {reason}") from None

    def _follow(self, job: _Job) -> None:
        run, provider_id = job.run, job.operation.operation_definition["provider_id"]
        try:
            checkpoint = job.api.checkpoint(provider_id, str(run.checkpoint_id))
        except exception.NotFound:
            return self._end(run, scheduled_runs.FAILED, f"checkpoint {run.checkpoint_id} no longer exists")
        status = checkpoint["status"]
        if status == states.PROTECTING:
            return self._release(run, self._options.follow_interval)
        if status == states.AVAILABLE:
            return self._finish(job)
        reason = f"checkpoint {run.checkpoint_id} ended in {status!r}: {checkpoint.get('reason') or 'no reason given'}"
        if status in _UNWANTED:
            return self._end(run, scheduled_runs.FAILED, reason)
        # The next attempt creates another checkpoint, with another idempotency key.
        return self._retry(run, reason, checkpoint_id=None, attempt=run.attempt + 1)

    def _finish(self, job: _Job) -> None:
        run = job.run
        try:
            summary = job.kind.finish(job.api, self._describe(job))
        except exception.NotAuthorized:
            raise
        except exception.KarborLikeError as error:
            reason = (
                f"checkpoint {run.checkpoint_id} is available, but the next step failed: {exception.public_text(error)}"
            )
            if run.attempt + 1 >= _MAX_FINISH_ATTEMPTS:
                return self._end(run, scheduled_runs.FAILED, reason)
            LOG.warning("run %s of scheduled operation %s: %s", run.id, run.scheduled_operation_id, reason)
            return self._release(run, self._options.retry_interval, attempt=run.attempt + 1, reason=reason)
        return self._end(run, scheduled_runs.SUCCEEDED, summary)

    def _describe(self, job: _Job) -> plugins.ScheduledCall:
        run, operation = job.run, job.operation
        extra_info = {
            "created_by": "operation-engine",
            "trigger_id": operation.trigger_id,
            "scheduled_operation_id": operation.id,
            "due_at": run.due_at.isoformat(),
            "attempt": run.attempt,
        }
        key = f"{operation.id}@{run.due_at.isoformat()}#{run.attempt}"
        now = self._clock.now()
        return plugins.ScheduledCall(operation.operation_definition, extra_info, key, now, run.checkpoint_id)

    def _release(self, run: ScheduledRun, seconds: float, **values: Any) -> None:
        """Record progress and release the claim; the next step is due in *seconds*."""
        next_step_at = self._clock.now() + timedelta(seconds=seconds)
        self._database.write(lambda session: scheduled_runs.release(session, run, next_step_at, **values))

    def _retry(self, run: ScheduledRun, reason: str, *, unsure: bool = False, **values: Any) -> None:
        """Retry later, if that is within the window; otherwise end the run as failed.

        :param unsure: the request may have been carried out nevertheless; retry for the length of another window, in which
            no new checkpoint is started but an existing one is found
        """
        now, last = self._clock.now(), run.window_ends_at
        if unsure:
            last += run.window_ends_at - run.due_at
        remaining = (last - now).total_seconds()
        if remaining < self._options.retry_interval:
            return self._end(run, scheduled_runs.FAILED, reason)
        # The time since the run was due, and with it the delay, about doubles with each retry, up to a limit. Half of the
        # remaining time is left for more of them.
        passed = (now - run.due_at).total_seconds()
        longest = min(passed, remaining / 2, _MAX_BACKOFF * self._options.retry_interval)
        delay = max(self._options.retry_interval, longest * (1 - self._jitter()))
        LOG.warning(
            "run %s of scheduled operation %s: will be retried in %.0f seconds: %s",
            run.id,
            run.scheduled_operation_id,
            delay,
            reason,
        )
        return self._release(run, delay, reason=reason, **values)

    def _end(self, run: ScheduledRun, state: str, reason: str | None) -> None:
        now = self._clock.now()

        def record(session: orm.Session) -> bool:
            ended = scheduled_runs.end(session, run, state, now, reason)
            if ended and state != scheduled_runs.SUCCEEDED:
                operation = SCHEDULED_OPERATIONS.find(session, run.scheduled_operation_id)
                if operation is not None:
                    scheduled_runs.log(session, operation, state, run.due_at, now, reason, run.checkpoint_id)
            return ended

        if self._database.write(record):
            families.SCHEDULED_RUNS.labels(state).inc()

    def _disable(self, operation: ScheduledOperation, run: ScheduledRun, reason: str) -> bool:
        """Disable an operation of which every run would fail in the same way, unless it no longer has the trust of *run*.

        :returns: whether it is disabled
        """
        values = {"enabled": False, "disabled_reason": reason}
        expected = {"trust_id": run.trust_id}
        if not self._database.write(
            lambda session: SCHEDULED_OPERATIONS.update(session, operation.id, values, expected)
        ):
            return False
        LOG.error("scheduled operation %s: disabled: %s", operation.id, reason)
        return True
