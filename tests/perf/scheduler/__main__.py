"""Benchmark of firing triggers of which most are not due: ``python -m tests.perf.scheduler``.

It fills an empty database with triggers of one operation each, some of them due at the same time. It prints, with goals: the
time until all due triggers are claimed and their runs recorded, by one engine and by three concurrent ones; the cost of an
idle poll in comparison with a table of a hundredth of the size; and the growth of memory over many rounds. This is not a
test: no result makes it fail.
"""

import argparse
import contextlib
import json
import multiprocessing
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from karbor_like.db import migration, scheduled_runs
from karbor_like.db.models import Base, ScheduledOperation, ScheduledRun, Trigger
from karbor_like.db.session import Database
from karbor_like.operationengine.scheduler import Scheduler
from tests.cloud.net import free_port
from tests.cloud.processes import Supervisor
from tests.cloud.servers import MariaDB, PostgreSQL
from tests.fixtures.database import open_database
from tests.perf.blockstore.__main__ import machine
from tests.perf.scheduler import worker

MIB = 1 << 20
GOAL_SECONDS = 2.0
_START = "2020-01-01 00:00:00"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.scheduler", description=__doc__)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; otherwise a server is started for it")
    parser.add_argument("--server", choices=["mariadb", "postgresql"], default="mariadb", help="which one")
    parser.add_argument("--triggers", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=1000, help="of them, at the same moment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", type=int, default=3, help="at once, in the second measurement")
    parser.add_argument("--memory-rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("perf-results/scheduler.json"))
    return parser.parse_args(arguments)


def _properties(number: int) -> dict[str, Any]:
    """Return patterns as different as those of tenants: both formats, some with a time zone."""
    minute, hour = number % 60, number // 60 % 24
    zone = {"timezone": "Europe/Berlin"} if number % 4 == 0 else {}
    if number % 2:
        return {"format": "crontab", "pattern": f"{minute} {hour} * * *", "start_time": _START, **zone}
    rule = f"BEGIN:VEVENT\r\nRRULE:FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute};BYSECOND=0\r\nEND:VEVENT"
    return {"format": "calendar", "pattern": rule, "start_time": _START, **zone}


def fill(database: Database, first: int, count: int) -> list[str]:
    """Insert triggers from number *first* on, none due before tomorrow. Returns their ids."""
    now, ids = datetime.now(UTC), []
    for start in range(first, first + count, 5000):
        triggers, operations = [], []
        for number in range(start, min(start + 5000, first + count)):
            trigger_id = str(uuid.uuid4())
            ids.append(trigger_id)
            common = {"project_id": f"{number % 100:032d}", "name": f"t{number}", "created_at": now}
            later = now + timedelta(days=1, seconds=number % 86400)
            triggers.append(
                {**common, "id": trigger_id, "type": "time", "properties": _properties(number), "next_run_at": later}
            )
            plan = str(uuid.uuid4())
            operations.append(
                {
                    **common,
                    "id": str(uuid.uuid4()),
                    "user_id": "u",
                    "operation_type": "protect",
                    "trigger_id": trigger_id,
                    "plan_id": plan,
                    "operation_definition": {"provider_id": plan, "plan_id": plan},
                    "enabled": True,
                }
            )
        with database.writer() as session:
            session.execute(sa.insert(Trigger), triggers)
            session.execute(sa.insert(ScheduledOperation), operations)
    return ids


def make_due(database: Database, ids: Sequence[str], count: int, number: int) -> None:
    """Make *count* triggers due now, spread over the table, and end all recorded runs."""
    step = len(ids) // count
    now = datetime.now(UTC).replace(microsecond=0)
    with database.writer() as session:
        ended = {"state": "succeeded", "ended_at": now, "next_look_at": None}
        session.execute(sa.update(ScheduledRun).where(ScheduledRun.state == "started").values(ended))
        session.execute(sa.update(Trigger).where(Trigger.id.in_(ids[number % step :: step])).values(next_run_at=now))


def fire_alone(database: Database, engine: Scheduler, wanted: int) -> float:
    """Measure the seconds until all are fired."""
    started = time.perf_counter()
    fired = engine.fire()
    seconds = time.perf_counter() - started
    # Meanwhile, some of the others become due by themselves.
    assert fired >= wanted, f"{fired} fired, not {wanted}"
    return seconds


class Together:
    """Engines, each in its own process."""

    def __init__(self, url: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._done = context.Queue()
        self._orders = [context.Queue() for _ in range(count)]
        self._processes = [
            context.Process(target=worker.engine, args=(url, orders, self._done)) for orders in self._orders
        ]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._done.get()

    def fire(self, wanted: int) -> float:
        """Measure the seconds until all are fired, by any engine."""
        started = time.time()
        for orders in self._orders:
            orders.put(started + 60)
        ends = [self._done.get() for _ in self._processes]
        assert sum(fired for _, fired in ends) >= wanted, ends
        return max(end for end, _ in ends) - started

    def close(self) -> None:
        for orders in self._orders:
            orders.put(None)
        for process in self._processes:
            process.join()


def idle(database: Database, engine: Scheduler, looks: int = 200) -> float:
    """Measure the median milliseconds of a poll that finds no due trigger and no run to continue."""
    taken = []
    for _ in range(looks):
        started = time.perf_counter()
        assert engine.fire() == 0
        with database.reader() as session:
            scheduled_runs.has_pending(session, datetime.now(UTC))
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure everything. Returns name, value, unit and goal of each figure."""
    database = open_database(arguments.database)
    Base.metadata.drop_all(database.engine)
    migration.sync(database)
    engine, few, figures = worker.scheduler(database), arguments.triggers // 100, []
    say(f"{few} triggers")
    ids = fill(database, 0, few)
    idle_few = idle(database, engine)
    say(f"{arguments.triggers} triggers")
    ids += fill(database, few, arguments.triggers - few)
    idle_many = idle(database, engine)
    figures.append(figure("an idle look, few triggers", idle_few, "ms"))
    figures.append(figure("an idle look, all triggers", idle_many, "ms", idle_few * 2))

    alone, processor = [], []
    for number in range(arguments.rounds):
        make_due(database, ids, arguments.due, number)
        busy = time.process_time()
        alone.append(fire_alone(database, engine, arguments.due))
        processor.append(time.process_time() - busy)
    figures.append(figure(f"{arguments.due} due triggers, one engine, the first time", alone[0], "s", GOAL_SECONDS))
    figures.append(figure("... the slowest", max(alone), "s", GOAL_SECONDS))
    figures.append(figure("... the median", statistics.median(alone), "s", GOAL_SECONDS))

    figures.append(figure("... the engine's processor time, the median", statistics.median(processor), "s"))

    together, times = Together(arguments.database, arguments.engines), []
    for number in range(arguments.rounds):
        make_due(database, ids, arguments.due, arguments.rounds + number)
        times.append(together.fire(arguments.due))
    together.close()
    figures.append(figure(f"... {arguments.engines} engines at once, the slowest", max(times), "s", GOAL_SECONDS))

    process, sizes = psutil.Process(), []
    for number in range(arguments.memory_rounds):
        make_due(database, ids, arguments.due, number)
        fire_alone(database, engine, arguments.due)
        sizes.append(process.memory_info().rss)
    grown = (sizes[-1] - sizes[len(sizes) // 3]) / MIB
    figures.append(figure(f"growth over the last two thirds of {arguments.memory_rounds} rounds", grown, "MiB", 5.0))
    database.dispose()
    return figures


def figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    text = f"at most {goal:.2f}" if goal is not None else ""
    verdict = "" if goal is None else "yes" if value <= goal else "NO"
    print(f"{name:<60} {value:>10.2f} {unit:<4} {text:<16} {verdict}".rstrip(), flush=True)
    return {"name": name, "value": value, "unit": unit, "goal": goal}


def say(text: str) -> None:
    print(f"... {text}", flush=True)


@contextlib.contextmanager
def server(kind: str) -> Iterator[str]:
    """Start a database server with an empty database."""
    state = Path(tempfile.mkdtemp(prefix="karbor_like-perf-", dir="/var/tmp"))
    state.chmod(0o755)
    supervisor = Supervisor(state)
    # So that the server does not outlive a benchmark that is terminated.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    classes: dict[str, type[MariaDB | PostgreSQL]] = {"mariadb": MariaDB, "postgresql": PostgreSQL}
    started = classes[kind](state / kind, free_port())
    try:
        started.prepare()
        supervisor.ensure(started.daemon())
        yield started.new_database()
    finally:
        supervisor.stop_all(gently=False)
        shutil.rmtree(state, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parsed = parse(arguments)
    described = machine()
    with contextlib.ExitStack() as stack:
        parsed.database = parsed.database or stack.enter_context(server(parsed.server))
        print(f"load {described['load']:.1f} on {described['cores']} cores, {parsed.database.partition(':')[0]}")
        figures = measure(parsed)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(json.dumps({"machine": described, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
