"""Works on recorded runs: begins what is due, follows it until it ended, retries within the window, and says how it went.

Every step is short and may be done by any engine: a run is claimed, one or two calls are made, what came of it is
recorded together with the time at which somebody must look again, and the claim is given back.

What a failure means: where the user's trust is gone, no run can succeed any more, so the operation is disabled. Where the
plan or the provider is not there, this run fails. Everything else may pass, and is tried again while the window lasts; a
run that has a checkpoint is followed until that says how it went.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.clock import Clock
from karbor_like.db import scheduled_runs
from karbor_like.db.models import ScheduledOperation, ScheduledRun
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.operationengine.restapi import RestApi
from karbor_like.operationengine.trusts import TrustLost, Trusts
from karbor_like.plugins import operation as plugins

LOG = logging.getLogger(__name__)

#: What a checkpoint that is being made says.
_GOES_ON = ("protecting",)
#: What one says that somebody deletes: they do not want another in its place.
_UNWANTED = ("deleting", "deleted", "error-deleting")
#: How often what follows an available checkpoint is tried.
_FINISHES = 10
#: What says nothing of the run: the API or Keystone is away, or does not know the service's own account.
_BLINKS = (exception.Unavailable, exception.ConfigurationError)


class DefinitionLost(exception.NotFound):
    """The plan or the provider of the operation does not exist, by the API that was asked."""


@dataclass(frozen=True)
class _Job:
    """A run that this engine holds, and what is needed to work on it."""

    run: ScheduledRun
    operation: ScheduledOperation
    kind: plugins.ScheduledOperationType
    api: RestApi


class Runner:
    """:param types: the operation types by name
    :param owner: who claims, for people
    :param on_idle: called when a worker is free while there may be more to do
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
    ) -> None:
        self._options = conf.operationengine
        self._database = database
        self._clock = clock
        self._trusts = trusts
        self._types = types
        self._owner = owner
        self._on_idle = on_idle
        self._pool = futures.ThreadPoolExecutor(self._options.workers, thread_name_prefix="run")
        self._working: set[futures.Future[None]] = set()
        self._lock = threading.Lock()
        #: Whether there were at least as many runs as free workers when this engine looked.
        self._more = False

    def stop(self) -> None:
        """Wait for the steps that are being done."""
        self._on_idle = lambda: None
        self._pool.shutdown(wait=True)

    def wait(self) -> None:
        """Wait for the steps that are being done; others may be begun afterwards."""
        with self._lock:
            working = set(self._working)
        futures.wait(working)

    def look(self) -> int:
        """Begin one step of each run that wants attention, as many as there are free workers. Returns how many."""
        now = self._clock.now()
        with self._lock:
            free = self._options.workers - len(self._working)
        self._more = free <= 0
        if self._more:
            return 0
        with self._database.reader() as session:
            if not scheduled_runs.wanting(session, now):
                return 0
        runs = self._database.write(
            lambda session: scheduled_runs.claim(session, self._owner, now, self._options.lease, free)
        )
        self._more = len(runs) == free
        for run in runs:
            future = self._pool.submit(self._work_on, run)
            with self._lock:
                self._working.add(future)
            future.add_done_callback(self._ended)
        return len(runs)

    def _ended(self, future: futures.Future[None]) -> None:
        with self._lock:
            self._working.discard(future)
        if self._more:
            self._on_idle()

    def _work_on(self, run: ScheduledRun) -> None:
        try:
            self._step(run)
        except Exception as error:  # noqa: BLE001 - the border of a thread: whatever it is, the run must not be forgotten
            LOG.exception("run %s of operation %s: unexpected error", run.id, run.scheduled_operation_id)
            try:
                if run.checkpoint_id is not None and isinstance(error, db_exception.DBConnectionError):
                    self._leave(run, self._options.follow_interval)
                else:
                    self._retry(run, f"unexpected error: {type(error).__name__}", unsure=True)
            except Exception:  # noqa: BLE001 - as above; when the claim runs out, another engine goes on
                LOG.exception("run %s of operation %s cannot be recorded", run.id, run.scheduled_operation_id)

    def _step(self, run: ScheduledRun) -> None:
        with self._database.reader() as session:
            operation = SCHEDULED_OPERATIONS.find(session, run.scheduled_operation_id)
        if operation is None:
            return self._end(run, scheduled_runs.FAILED, "the scheduled operation was deleted")
        kind = self._types.get(operation.operation_type)
        if kind is None:
            return self._end(run, scheduled_runs.FAILED, f"no plugin for type {operation.operation_type!r}")
        try:
            self._act(run, operation, kind)
        except TrustLost as error:
            self._disable(operation, str(error))
            self._end(run, scheduled_runs.FAILED, str(error))
        except DefinitionLost as error:
            self._end(run, scheduled_runs.FAILED, str(error))
        except _BLINKS as error:
            if run.checkpoint_id is None:
                # Of a request that got no answer nobody knows whether it was carried out.
                return self._retry(run, str(error), unsure=isinstance(error, exception.Unavailable))
            # However long it lasts: the checkpoint is made, or not, whether or not anybody can ask for it.
            LOG.warning("run %s: %s", run.id, error)
            self._leave(run, self._options.follow_interval)
        except exception.KarborLikeError as error:
            self._retry(run, str(error))

    def _act(self, run: ScheduledRun, operation: ScheduledOperation, kind: plugins.ScheduledOperationType) -> None:
        owner = operation.user_id, operation.project_id
        clients = self._trusts.act_as(*owner, fresh=run.checkpoint_id is None)
        job = _Job(run, operation, kind, RestApi(clients.adapter("data_protect")))
        try:
            (self._begin if run.checkpoint_id is None else self._follow)(job)
        except exception.NotAuthorized:
            # The API does not want this of the user, or what the user gave was taken back meanwhile: Keystone knows.
            self._trusts.act_as(*owner, fresh=True)
            raise

    def _begin(self, job: _Job) -> None:
        if self._clock.now() > job.run.window_ends_at:
            return self._late(job)
        if not job.operation.enabled:
            return self._end(job.run, scheduled_runs.SKIPPED, "the operation was disabled before the run began")
        try:
            checkpoint_id = job.kind.begin(job.api, self._described(job))
        except (exception.ResourceFailed, exception.NotFound) as error:
            self._check_definition(job, error)
            raise
        return self._leave(job.run, self._options.follow_interval, checkpoint_id=checkpoint_id)

    def _late(self, job: _Job) -> None:
        """Too late to begin anything; but a request whose answer was lost may have begun something that must be followed."""
        definition = job.operation.operation_definition
        if job.run.epoch > 1:
            found = job.api.find(definition["provider_id"], definition["plan_id"], self._described(job).extra_info)
            if found is not None:
                return self._leave(job.run, 0, checkpoint_id=found)
        if job.run.reason:
            return self._end(job.run, scheduled_runs.FAILED, job.run.reason)
        return self._end(job.run, scheduled_runs.MISSED, "no engine began it within its window")

    def _check_definition(self, job: _Job, error: exception.KarborLikeError) -> None:
        """Raises DefinitionLost if that is why the API refused."""
        definition = job.operation.operation_definition
        for noun in ("plan", "provider"):
            if not job.api.exists(f"{noun}s", definition[f"{noun}_id"]):
                raise DefinitionLost(f"there is no {noun} {definition[f'{noun}_id']}: {error}") from None

    def _follow(self, job: _Job) -> None:
        run, provider_id = job.run, job.operation.operation_definition["provider_id"]
        try:
            checkpoint = job.api.checkpoint(provider_id, str(run.checkpoint_id))
        except exception.NotFound:
            return self._end(run, scheduled_runs.FAILED, f"checkpoint {run.checkpoint_id} is gone")
        status = checkpoint["status"]
        if status in _GOES_ON:
            return self._leave(run, self._options.follow_interval)
        if status == "available":
            return self._finish(job)
        reason = f"checkpoint {run.checkpoint_id} ended in {status!r}: {checkpoint.get('reason') or 'no reason given'}"
        if status in _UNWANTED:
            return self._end(run, scheduled_runs.FAILED, reason)
        # A new attempt is another checkpoint, with a key of its own.
        return self._retry(run, reason, checkpoint_id=None, attempt=run.attempt + 1)

    def _finish(self, job: _Job) -> None:
        run = job.run
        try:
            done = job.kind.finish(job.api, self._described(job))
        except exception.NotAuthorized:
            raise
        except exception.KarborLikeError as error:
            reason = f"checkpoint {run.checkpoint_id} is available, but what follows failed: {error}"
            if run.attempt + 1 >= _FINISHES:
                return self._end(run, scheduled_runs.FAILED, reason)
            LOG.warning("run %s of operation %s: %s", run.id, run.scheduled_operation_id, reason)
            return self._leave(run, self._options.retry_interval, attempt=run.attempt + 1, reason=reason)
        return self._end(run, scheduled_runs.SUCCEEDED, done)

    def _described(self, job: _Job) -> plugins.ScheduledCall:
        run, operation = job.run, job.operation
        extra_info = {
            "created_by": "operation-engine",
            "trigger_id": operation.trigger_id,
            "scheduled_operation_id": operation.id,
            "due_at": run.due_at.isoformat(),
            "attempt": run.attempt,
        }
        key = f"{operation.id}@{run.due_at.isoformat()}#{run.attempt}"
        return plugins.ScheduledCall(operation.operation_definition, extra_info, key, self._clock.now())

    def _leave(self, run: ScheduledRun, seconds: float, **values: Any) -> None:
        again = self._clock.now() + timedelta(seconds=seconds)
        self._database.write(lambda session: scheduled_runs.leave(session, run, again, **values))

    def _retry(self, run: ScheduledRun, reason: str, *, unsure: bool = False, **values: Any) -> None:
        """Try again while the window lasts.

        :param unsure: something may have been begun all the same: for as long as another window it is looked for
        """
        again = self._clock.now() + timedelta(seconds=self._options.retry_interval)
        last = run.window_ends_at
        if unsure:
            last += run.window_ends_at - run.due_at
        if again > last:
            return self._end(run, scheduled_runs.FAILED, reason)
        LOG.warning("run %s of operation %s is tried again: %s", run.id, run.scheduled_operation_id, reason)
        return self._leave(run, self._options.retry_interval, reason=reason, **values)

    def _end(self, run: ScheduledRun, state: str, reason: str | None) -> None:
        now = self._clock.now()

        def work(session: orm.Session) -> None:
            if scheduled_runs.end(session, run, state, now, reason) and state != scheduled_runs.SUCCEEDED:
                operation = SCHEDULED_OPERATIONS.find(session, run.scheduled_operation_id)
                if operation is not None:
                    scheduled_runs.log(session, operation, state, run.due_at, now, reason, run.checkpoint_id)

        self._database.write(work)

    def _disable(self, operation: ScheduledOperation, reason: str) -> None:
        """Take an operation out of service: every run would fail in the same way, for ever."""
        LOG.error("scheduled operation %s is disabled: %s", operation.id, reason)
        values = {"enabled": False, "disabled_reason": reason}
        self._database.write(lambda session: SCHEDULED_OPERATIONS.update(session, operation.id, values))
