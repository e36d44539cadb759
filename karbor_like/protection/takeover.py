"""The claiming of operations: queued ones, and ones whose owner died or stopped renewing its lease."""

import logging
from collections.abc import Collection, Iterator, Mapping

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.models import Operation
from karbor_like.db.operations import Limits
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.operation.claim import ActiveClaim

LOG = logging.getLogger(__name__)


class Takeover:
    """Claims operations for one process. A claim is a compare-and-set, so two processes never claim the same operation.

    :param lease: seconds for which a claim is valid
    """

    def __init__(self, env: ServiceContext, lease: float) -> None:
        self._env = env
        self._lease = lease
        #: Waiting operations that were already logged.
        self._logged: set[str] = set()

    def claim(self, limit: int, running: Collection[str], *, only_short: bool = False) -> Iterator[ActiveClaim]:
        """Claim at most *limit* operations that are due, each in its own transaction.

        :param running: ids of the operations that this process runs
        :param only_short: claim only deletions and cancelled operations
        :returns: each claim
        """
        providers = self._env.providers.list()
        loaded = [provider.id for provider in providers]
        limits = Limits(
            self._env.conf.protection.max_operations_per_project,
            {provider.id: provider.max_operations for provider in providers if provider.max_operations},
            loaded,
        )
        running = set(running)
        claimed = True
        # Claims may leave others without room. Then the next query finds those that still have some.
        while limit and claimed:
            claimed = False
            with self._env.database.reader() as session:
                due = operations.due(session, limit + len(running), loaded, limits, only_short=only_short)
                waiting = operations.waiting_for_others(session, loaded)
            self._log_waiting(waiting)
            for row in due:
                if not limit:
                    return
                if self._can_run(row, loaded, running):
                    claim = self._claim(row, limits)
                    if claim is not None:
                        limit -= 1
                        running.add(row.id)
                        claimed = True
                        yield claim

    def _log_waiting(self, waiting: Mapping[str, str]) -> None:
        for operation_id in waiting.keys() - self._logged:
            LOG.warning(
                "Operation %s waits for provider %s, which is not loaded here", operation_id, waiting[operation_id]
            )
        self._logged = set(waiting)

    def _can_run(self, row: Operation, loaded: Collection[str], running: Collection[str]) -> bool:
        if row.id in running:
            # Its lease expired while the database was unreachable. It can be claimed again once it has stopped here.
            return False
        try:
            self._env.providers.get(row.provider_id)
        except exception.ProviderNotFound:
            # A provider that was unloaded since the query is needed. One that was not loaded then is not: the operation
            # is due because it can end without a provider.
            return row.provider_id not in loaded
        return True

    def _claim(self, row: Operation, limits: Limits) -> ActiveClaim | None:
        began = self._env.clock.monotonic()
        record = self._env.database.write(
            lambda session: operations.claim(session, row, self._env.owner, self._lease, limits)
        )
        return ActiveClaim(record, self._env.clock, began, self._lease) if record else None
