"""Takes operations from the queue, a bounded number at once, and keeps hold of them while they run.

The database is the queue: whoever died, what it held is claimed again here or elsewhere when its lease has run out.
"""

import logging
import threading
from collections.abc import Collection, Mapping
from concurrent import futures

from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.models import Operation
from karbor_like.protection import runner
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.service import Periodic

LOG = logging.getLogger(__name__)

#: Seconds that hooks get to notice that they must stop, after the time for ending by themselves is over.
_STOP_SECONDS = 5.0


class Executor:
    """Runs operations of the queue in threads of this process."""

    def __init__(self, env: ServiceContext) -> None:
        self._env = env
        conf = env.conf.protection
        self._slots: int = conf.max_operations
        self._lease: float = conf.lease
        self._pool = futures.ThreadPoolExecutor(self._slots, thread_name_prefix="operation")
        self._condition = threading.Condition()
        self._running: dict[str, ActiveClaim] = {}
        self._closed = False
        #: Waiting operations of which was said already that they cannot be run here.
        self._told: set[str] = set()
        self._looker = Periodic("the look for operations", lambda: conf.poll_interval, self._look, env.clock)
        self._heart = Periodic(
            "the renewal of leases", lambda: min(self._lease / 3, conf.poll_interval), self._renew, env.clock
        )

    def start(self) -> None:
        """Begin to look for operations."""
        self._heart.start()
        self._looker.start()

    def poke(self) -> None:
        """Something may have been queued, or cancelled: look now."""
        self._heart.poke()
        self._looker.poke()

    def full(self) -> bool:
        """Whether what is queued now has to wait for a place here."""
        with self._condition:
            return len(self._running) >= self._slots

    def stop(self, drain: float) -> None:
        """Take nothing more, give what runs *drain* seconds to end, and leave the rest to others."""
        with self._condition:
            self._closed = True
        self._looker.stop()
        with self._condition:
            self._condition.wait_for(lambda: not self._running, drain)
            rest = list(self._running.values())
        for hold in rest:
            LOG.info("Operation %s is left for another service to go on with", hold.claim.operation_id)
            hold.abandon("this service is being stopped")
        with self._condition:
            self._condition.wait_for(lambda: not self._running, _STOP_SECONDS)
        self._heart.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> None:
        with self._condition:
            free = 0 if self._closed else self._slots - len(self._running)
        if free <= 0:
            return
        loaded = [provider.id for provider in self._env.providers.list()]
        with self._env.database.reader() as session:
            due = operations.due(session, free + len(self._running), loaded)
            waiting = operations.waiting_for_others(session, loaded)
        self._tell(waiting)
        for row in due:
            if free > 0 and self._wanted(row, loaded) and self._take(row):
                free -= 1

    def _tell(self, waiting: Mapping[str, str]) -> None:
        for operation_id in waiting.keys() - self._told:
            LOG.warning(
                "Operation %s waits for provider %s, which is not loaded here", operation_id, waiting[operation_id]
            )
        self._told = set(waiting)

    def _wanted(self, row: Operation, loaded: Collection[str]) -> bool:
        if row.id in self._running:
            # Its lease ran out while the database was away. It is stopping; only then it can be taken again.
            return False
        try:
            self._env.providers.get(row.provider_id)
        except exception.ProviderNotFound:
            # Where it was loaded a moment ago, it is needed; where it was not, the operation is due because it does without.
            return row.provider_id not in loaded
        return True

    def _take(self, row: Operation) -> bool:
        began = self._env.clock.monotonic()
        claim = self._env.database.write(lambda session: operations.claim(session, row, self._env.owner, self._lease))
        if claim is None:
            return False
        hold = ActiveClaim(claim, self._env.clock, began, self._lease)
        with self._condition:
            self._running[row.id] = hold
        self._pool.submit(self._run, hold, row.attempts)
        return True

    def _run(self, hold: ActiveClaim, attempts: int) -> None:
        operation_id = hold.claim.operation_id
        try:
            runner.run(self._env, hold)
        except exception.LeaseLost as error:
            LOG.warning("%s", error)
        except Exception:  # noqa: BLE001 - the border of a thread; the lease runs out and it is tried again
            LOG.exception("Operation %s stopped unexpectedly; it is tried again", operation_id)
        finally:
            self._give_back(hold, attempts)
            with self._condition:
                del self._running[operation_id]
                self._condition.notify_all()
            self._looker.poke()

    def _give_back(self, hold: ActiveClaim, attempts: int) -> None:
        """Nothing of this process may act for the operation any more. Where that is sure and the service is being stopped,
        others need not wait for the lease to run out; after a fault the time until it does is the pause before the next try.
        """
        hold.abandon("its run has ended")
        if not self._closed or not hold.wait_idle(_STOP_SECONDS):
            return
        try:
            self._env.database.write(lambda session: operations.release(session, hold.claim, attempts=attempts))
        except db_exception.DBError as error:
            LOG.warning("Operation %s could not be given back: %s", hold.claim.operation_id, error)

    def _renew(self) -> None:
        with self._condition:
            # The lease of one that is lost runs out, so that it can be claimed again.
            holds = [hold for hold in self._running.values() if not hold.lost()]
        for hold in holds:
            began = self._env.clock.monotonic()

            def renew(session: orm.Session, hold: ActiveClaim = hold) -> tuple[bool, bool]:
                if not operations.renew(session, hold.claim, self._lease):
                    return False, False
                return True, operations.check(session, hold.claim).cancel_requested

            held, cancelled = self._env.database.write(renew)
            if not held:
                hold.abandon("another service has taken it over, or it has ended")
                continue
            hold.renewed(began)
            if cancelled:
                hold.cancel()
