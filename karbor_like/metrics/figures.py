"""Figures from the database: a few queries, which a process makes at most once per interval for all who ask."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from prometheus_client.core import GaugeMetricFamily

from karbor_like import logs
from karbor_like.clock import Clock
from karbor_like.db import checkpoints, operations, plans, queues, scheduled_runs, services
from karbor_like.db import jobs as periodic_jobs
from karbor_like.db import session as db_session
from karbor_like.db.models import Service
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.metrics import families
from karbor_like.shared import SharedAnswer

LOG = logging.getLogger(__name__)

#: Seconds for which figures are given while newer ones are awaited.
_USABLE: Final = 60.0

Families = Sequence[GaugeMetricFamily]


@dataclass(frozen=True)
class _Look:
    """One look at the database.

    :param now: by the clock of the database
    :param clock_now: by the clocks of the engines, which schedules follow
    """

    connection: sa.Connection
    conf: cfg.ConfigOpts
    now: datetime
    clock_now: datetime

    def age(self, moment: datetime) -> float:
        return max(0.0, (self.now - moment).total_seconds())


class Figures:
    """A collector of Prometheus."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, clock: Clock) -> None:
        self._conf = conf
        self._database = database
        self._clock = clock
        self._answer = SharedAnswer[Families | None](
            "metrics",
            self._read,
            conf.metrics.timeout,
            clock,
            late=None,
            failed=_failed,
            fresh=conf.metrics.interval,
            usable=max(_USABLE, conf.metrics.interval),
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures; only that there are none, if the database does not answer."""
        found = self._answer.get()
        yield families.UP.family([((), 0 if found is None else 1)])
        yield from found or ()

    def _read(self) -> Families:
        # Without a transaction: on SQLite, one would wait for writers and let them wait.
        with self._database.lookup() as connection:
            look = _Look(connection, self._conf, db_session.now(connection), self._clock.now())
            return [family for part in _PARTS for family in part(look)]


def _failed(error: Exception) -> None:
    LOG.warning(
        "The figures for metrics cannot be read from the database: %s", error, extra={logs.REPEATING: "metrics"}
    )


def _services(look: _Look) -> Iterator[GaugeMetricFamily]:
    rows = services.summaries(look.connection)
    up = {row.id for row in rows if look.age(row.updated_at or row.created_at) <= look.conf.service.down_time}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        state = "down" if row.id not in up else "hung" if services.hung(row) else "up"
        counts[row.binary, state] = counts.get((row.binary, state), 0) + 1
    yield families.SERVICES.family(
        ((binary, state), counts.get((binary, state), 0))
        for binary in sorted({row.binary for row in rows})
        for state in ("up", "down", "hung")
    )
    reported = list(_providers(row for row in rows if row.id in up))
    unreachable = {provider["id"] for provider in reported if provider["bank"] == "unreachable"}
    known = sorted({provider["id"] for provider in reported})
    yield families.BANKS.family(((provider_id,), float(provider_id not in unreachable)) for provider_id in known)
    # Of all services: a collection is overdue, too, if no service runs. Providers that were removed are in no report.
    loaded = {provider["id"] for provider in _providers(rows)}
    done_times = periodic_jobs.done_times(look.connection, periodic_jobs.COLLECT)
    times = {provider_id: done_times[provider_id] for provider_id in sorted(loaded & done_times.keys())}
    yield families.COLLECTION_AGE.family(
        ((provider_id,), look.age(done_at)) for provider_id, done_at in times.items() if done_at
    )
    yield families.COLLECTED.family(((provider_id,), float(bool(done_at))) for provider_id, done_at in times.items())
    results = periodic_jobs.results(look.connection, periodic_jobs.COLLECT)
    counted = {provider_id: results[provider_id] for provider_id in sorted(loaded & results.keys())}
    yield families.BANK_STORED.family(
        ((provider_id,), float(result[periodic_jobs.STORED_BYTES])) for provider_id, (result, _) in counted.items()
    )
    yield families.BANK_STORED_AGE.family(
        ((provider_id,), look.age(counted_at)) for provider_id, (_, counted_at) in counted.items()
    )


def _providers(rows: Iterable[Service]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        for report in (row.reports or {}).values():
            yield from report.get("providers", ())


def _queues(look: _Look) -> Iterator[GaugeMetricFamily]:
    depths = {
        "operations": queues.operations(look.connection),
        "scheduled_runs": queues.scheduled_runs(look.connection, look.clock_now),
    }
    yield families.QUEUE.family(
        ((name, state), getattr(depth, state)) for name, depth in depths.items() for state in ("waiting", "running")
    )
    yield families.QUEUE_AGE.family(((name,), depth.oldest_seconds or 0.0) for name, depth in depths.items())
    expired = operations.count_expired(look.connection, look.now)
    yield families.LEASES.family([(("held",), depths["operations"].running), (("expired",), expired)])
    yield families.UNCLEAN.family([((), operations.count_unclean(look.connection))])
    due = scheduled_runs.oldest_due(look.connection, look.clock_now)
    lag = (look.clock_now - due) if due else timedelta()
    yield families.SCHEDULER_LAG.family([((), lag.total_seconds())])


def _checkpoints(look: _Look) -> Iterator[GaugeMetricFamily]:
    rows = checkpoints.totals(look.connection)
    yield families.CHECKPOINTS.family(((row.provider_id, row.status), row.number) for row in rows)
    yield families.BANK_BYTES.family(
        ((row.provider_id, measure), float(getattr(row, f"{measure}_bytes") or 0))
        for row in rows
        if row.status == states.AVAILABLE
        for measure in ("logical", "new", "stored")
    )


def _plans(look: _Look) -> Iterator[GaugeMetricFamily]:
    every, scheduled = plans.count(look.connection)
    yield families.PLANS.family([(("true",), scheduled), (("false",), every - scheduled)])
    yield families.RPO_VIOLATED.family([((), plans.count_violated(look.connection))])
    if look.conf.metrics.plans:
        oldest = plans.oldest(look.connection, look.conf.metrics.plans)
        yield families.PLAN_AGE.family(((row.project_id, row.id), look.age(row.since)) for row in oldest)


_PARTS: Final[Sequence[Callable[[_Look], Iterator[GaugeMetricFamily]]]] = (_services, _queues, _checkpoints, _plans)
