"""Runs a bounded number of operations in threads of this process.

The database is the queue: :mod:`.takeover` claims operations from it, and :mod:`.operation.lease_renewal` keeps the claims.
"""

import logging
import threading
from concurrent import futures

from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception, logs, watchdog
from karbor_like.conf.protection import SHORT_OPERATIONS
from karbor_like.db import operations
from karbor_like.metrics import families
from karbor_like.protection import connections, runner
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation import lease_renewal, outage
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.takeover import Takeover
from karbor_like.service import Periodic

LOG = logging.getLogger(__name__)

#: Seconds that hooks get to notice that they must stop, once the grace period is over; then, to notice that their
#: connections are shut down; and then, to end.
_NOTICE_SECONDS = 2.0
_STOP_SECONDS = 3.0


class Executor:
    """The operations that this process runs."""

    def __init__(self, env: ServiceContext) -> None:
        self._env = env
        conf = env.conf.protection
        self._slots: int = conf.max_operations
        self._takeover = Takeover(env, conf.lease)
        self._pool = futures.ThreadPoolExecutor(self._slots + SHORT_OPERATIONS, thread_name_prefix="operation")
        self._condition = threading.Condition()
        self._running: dict[str, ActiveClaim] = {}
        self._closed = False
        self._poller = Periodic(
            "the poll for operations", lambda: conf.poll_interval, self.poll, env.clock, env.watchdog
        )
        self._renewer = Periodic(
            "the renewal of leases",
            lambda: min(conf.lease / 3, conf.poll_interval),
            self.renew_leases,
            env.clock,
            env.watchdog,
        )

    def start(self) -> None:
        """Start to poll for operations."""
        self._renewer.start()
        self._poller.start()

    def wake(self) -> None:
        """Poll now: an operation may have been queued or cancelled."""
        self._renewer.wake()
        self._poller.wake()

    def is_full(self) -> bool:
        """Whether an operation that is queued now has to wait for a slot here."""
        with self._condition:
            return len(self._running) >= self._slots

    def wait_idle(self, seconds: float) -> bool:
        """Wait at most *seconds* until no operation runs here. Returns whether that is so."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._running, seconds)

    def stop(self, drain: float) -> None:
        """Claim nothing more, let running operations end for *drain* seconds, then release the others.

        Transfers that are in flight then are cut off: a peer may be silent for longer than a process may take to stop.
        """
        with self._condition:
            self._closed = True
        # A poll that is in progress must not claim an operation that no thread will run.
        self._poller.stop(_STOP_SECONDS)
        self.wait_idle(drain)
        with self._condition:
            rest = list(self._running.values())
        for claim in rest:
            LOG.info(
                "Operation %s is released for another service to resume",
                claim.operation_id,
                extra=logs.about(operation_id=claim.operation_id, state="queued"),
            )
            claim.abandon("this service is being stopped")
        if not self.wait_idle(_NOTICE_SECONDS):
            LOG.info("%d connections are shut down, as operations wait for answers", connections.shut_down())
            self.wait_idle(_STOP_SECONDS)
        self._renewer.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def poll(self) -> None:
        """Claim as many due operations as there are free slots, and start them.

        If there are none, an additional slot is for a deletion or a cancelled operation. These never wait behind all others.
        """
        with self._condition:
            if self._closed:
                return
            free = self._slots - len(self._running)
            running = set(self._running)
        only_short = free <= 0
        for claim in self._takeover.claim(
            free + SHORT_OPERATIONS if only_short else free, running, only_short=only_short
        ):
            with self._condition:
                self._running[claim.operation_id] = claim
            families.CLAIMS.inc()
            families.RUNNING.inc()
            self._pool.submit(self._run, claim)
            watchdog.tick()

    def renew_leases(self) -> None:
        """Renew the leases of all running operations."""
        with self._condition:
            # Skip lost operations so that their leases expire and another service can claim them.
            claims = [claim for claim in self._running.values() if not claim.is_lost()]
        for claim in claims:
            lease_renewal.renew(self._env.database, claim)
            watchdog.tick()

    def _run(self, claim: ActiveClaim) -> None:
        try:
            runner.run(self._env, claim)
        except exception.LeaseLost as error:
            if not self._closed:
                families.LEASES_LOST.inc()
            LOG.warning("%s", error)
        except Exception:  # noqa: BLE001 - the border of a thread; the lease expires and the operation is retried
            LOG.exception("Operation %s stopped unexpectedly; it will be retried", claim.operation_id)
        finally:
            self._release(claim)
            with self._condition:
                del self._running[claim.operation_id]
                self._condition.notify_all()
            families.RUNNING.dec()
            self._poller.wake()

    def _release(self, claim: ActiveClaim) -> None:
        """Abandon the claim. When the service stops and no thread acts for the operation, also release it in the database.

        Another service then need not wait for the lease to expire. After a fault that wait is the pause before the retry.
        """
        claim.abandon("its run has ended")
        outage.record(self._env.database, claim, lambda: self._closed)
        if not self._closed or not claim.wait_idle(_STOP_SECONDS):
            return

        def write(session: orm.Session) -> None:
            if not claim.is_interrupted:
                operations.interrupt(session, claim.record)
            operations.release(session, claim.record)

        try:
            self._env.database.write(write)
        except db_exception.DBError as error:
            LOG.warning("Operation %s could not be released: %s", claim.operation_id, error)
