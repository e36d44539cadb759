"""Benchmark of a scrape with many plans. No result makes it fail.

``python -m tests.perf.metrics`` uses SQLite in a temporary directory. A scrape reads the figures from the database and writes
the answer; one within ``[metrics] interval`` writes the answer only. The objectives are those of the operation engine.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from karbor_like import service
from karbor_like.clock import SystemClock
from karbor_like.db import migration
from karbor_like.db.models import Checkpoint, Plan, ScheduledOperation, Trigger
from karbor_like.db.models.base import new_id
from karbor_like.db.session import Database
from karbor_like.metrics.figures import Figures
from karbor_like.metrics.page import Metrics
from karbor_like.operationengine.rpo import Objectives
from karbor_like.triggers import loader
from tests.fixtures.configuration import write_service

DAILY = {"format": "crontab", "pattern": "0 1 * * *", "start_time": "2026-01-01 00:00:00", "window": 900}


def fill(database: Database, plans: int, checkpoints: int) -> None:
    """Insert plans with a schedule each, and checkpoints of each plan, one a day."""
    now, provider = SystemClock().now(), new_id()
    rows: dict[Any, list[dict[str, Any]]] = {Plan: [], Trigger: [], ScheduledOperation: [], Checkpoint: []}
    for number in range(plans):
        plan_id, trigger_id = new_id(), new_id()
        common = {"project_id": f"{number % 100:032}", "created_at": now - timedelta(days=checkpoints)}
        named = {**common, "name": "n"}
        rows[Plan].append({**named, "id": plan_id, "provider_id": provider, "resources": [], "parameters": {}})
        rows[Trigger].append({**named, "id": trigger_id, "type": "time", "properties": DAILY})
        rows[ScheduledOperation].append(
            {
                **named,
                **{"user_id": "u", "operation_type": "protect", "operation_definition": {}},
                **{"trigger_id": trigger_id, "plan_id": plan_id},
            }
        )
        rows[Checkpoint] += [
            {
                **{**common, "created_at": now - timedelta(days=age), "id": new_id(), "provider_id": provider},
                **{"plan_id": plan_id, "status": "available", "plan": {}, "resource_graph": "[]", "extra_info": {}},
                **{"logical_bytes": 1 << 30, "new_bytes": 1 << 20, "stored_bytes": 1 << 19},
            }
            for age in range(checkpoints)
        ]
    for model, values in rows.items():
        database.write(functools.partial(_insert, model, values))


def _insert(model: Any, values: list[dict[str, Any]], session: orm.Session) -> None:
    session.execute(sa.insert(model), values)


def measure(name: str, work: Callable[[], object], times: int = 5) -> None:
    """Print the shortest and the longest time of *work*."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    print(f"{name:40} {min(seconds) * 1000:9.1f} ms to {max(seconds) * 1000:9.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.metrics", description=__doc__)
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--checkpoints", type=int, default=10, help="of each plan")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = write_service(Path(directory) / "karbor_like.conf")
        conf = service.configure([], files=[str(path)])
        conf.set_override("timeout", 3600, group="metrics")
        database = Database(conf)
        migration.sync(database)
        fill(database, options.plans, options.checkpoints)
        clock = SystemClock()
        answer: dict[str, Any] = {"REQUEST_METHOD": "GET"}

        def scrape(metrics: Metrics) -> int:
            return len(b"".join(metrics(answer, lambda *given: None)))

        warm = Metrics(Figures(conf, database, clock))
        print(f"{options.plans} plans, {options.plans * options.checkpoints} checkpoints, {scrape(warm)} bytes")
        measure("scrape with figures from the database", lambda: scrape(Metrics(Figures(conf, database, clock))))
        measure("scrape within the interval", lambda: scrape(warm))
        objectives = Objectives(conf, database, clock, loader.trigger_types())
        measure("first look at the objectives", objectives.check, times=1)
        measure("later look at the objectives", objectives.check)
        database.dispose()


if __name__ == "__main__":
    main()
