"""Three engine processes are killed and restarted at random while many triggers fire every few seconds.

Every due time is recorded once, and every successful run has one checkpoint. ``--storm-seconds`` sets the duration.
"""

import collections
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor_like import exception, service
from karbor_like.db import migration
from karbor_like.db.models import ScheduledRun, Trigger
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.rpc.operationengine import OperationEngineClient
from tests.fixtures.processes import environment
from tests.functional.operationengine.site import HOURLY, context_of, insert_schedules, write_configuration

ENGINES = 3
TRIGGERS = 200
EVERY = 10
#: Seconds. Another engine takes over a run of a killed engine after its claim has expired.
LEASE, WINDOW = 5, 40
#: Seconds that a slow machine may need to start an engine, and to finish all runs.
PATIENCE = 300

_OPTIONS = {"poll_interval": 0.5, "follow_interval": 0.5, "retry_interval": 1, "lease": LEASE, "workers": 4}


class Engines:
    """The engine processes with their workers, each in its own process group."""

    def __init__(self, directory: Path, text: str) -> None:
        self._directory = directory
        self._paths = []
        for number in range(ENGINES):
            path = directory / f"engine{number}.conf"
            path.write_text(f"{text}\n[service]\nhost = engine{number}\n")
            self._paths.append(path)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * ENGINES
        self.killed = 0

    def start(self, number: int) -> None:
        command = [sys.executable, "-m", "karbor_like.cmd.operationengine", "--config-file", str(self._paths[number])]
        with (self._directory / f"engine{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment(), start_new_session=True
            )

    def kill(self, number: int) -> None:
        process = self._processes[number]
        assert process is not None
        assert process.poll() is None, (self._directory / f"engine{number}.log").read_text()[-3000:]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._processes[number] = None
        self.killed += 1

    def close(self) -> None:
        for number, process in enumerate(self._processes):
            if process is not None and process.poll() is None:
                self.kill(number)


@pytest.fixture(
    params=[
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ]
)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.getfixturevalue(request.param)
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture
def conf(url: str, transport_url: str, cloud: Any, tmp_path: Path) -> Any:
    path = write_configuration(
        tmp_path / "karbor_like.conf", cloud, transport_url=transport_url, database_url=url, operationengine=_OPTIONS
    )
    return service.configure([], files=[str(path)])


@pytest.fixture
def database(conf: Any) -> Iterator[Database]:
    database = Database(conf)
    migration.sync(database)
    yield database
    database.dispose()


@pytest.fixture
def engines(conf: Any, database: Database, tmp_path: Path) -> Iterator[Engines]:
    engines = Engines(tmp_path, Path(conf.config_file[0]).read_text())
    for number in range(ENGINES):
        engines.start(number)
    yield engines
    engines.close()


def _make_trust(conf: Any, context: Any, operation_id: str) -> None:
    """Create the trust of a scheduled operation over the bus, as the API does, as soon as an engine responds."""
    client = OperationEngineClient(conf)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.ping(context, timeout=2)
            break
        except exception.Unavailable:
            assert time.monotonic() < deadline, "no engine responds"
    client.make_trust(context, scheduled_operation_id=operation_id)
    client.close()


def _storm(engines: Engines, seconds: float) -> None:
    source = random.Random(1)
    stop = time.monotonic() + seconds
    while (remaining := stop - time.monotonic()) > 0:
        time.sleep(min(remaining, source.uniform(1, 8)))
        number = source.randrange(ENGINES)
        engines.kill(number)
        engines.start(number)


def _runs(database: Database) -> list[ScheduledRun]:
    with database.reader() as session:
        return list(session.execute(sa.select(ScheduledRun)).scalars())


def _wait(database: Database, done: Callable[[collections.Counter[str]], bool]) -> collections.Counter[str]:
    """Wait until *done* accepts the numbers of runs by state, and return them."""
    deadline = time.monotonic() + PATIENCE
    while not done(states := collections.Counter(run.state for run in _runs(database))):
        assert time.monotonic() < deadline, states
        time.sleep(1)
    return states


def _stop_triggers(database: Database) -> None:
    database.write(lambda session: session.execute(sa.update(Trigger).values(next_run_at=None)))


@pytest.mark.timeout(1500)
def test_every_due_time_is_recorded_once_and_has_one_checkpoint(
    conf, database, engines, cloud, rest_api, request, record_property
):
    context = context_of(cloud.session("alice"))
    # All operations share the trust of this one, which does not run.
    (holder,) = insert_schedules(database, context, HOURLY, datetime.now(UTC), enabled=False)
    _make_trust(conf, context, holder)
    with database.reader() as session:
        trust_id = SCHEDULED_OPERATIONS.get(session, holder).trust_id
    began = datetime.now(UTC)
    properties = {
        "format": "crontab",
        "pattern": f"* * * * * */{EVERY}",
        "start_time": f"{began:%Y-%m-%d %H:%M:%S}",
        "window": WINDOW,
    }
    operations = insert_schedules(database, context, properties, began, TRIGGERS, trust_id=trust_id)

    _storm(engines, request.config.getoption("--storm-seconds"))
    # On a slow machine, engines are killed before they make much progress, so wait until they have caught up.
    _wait(database, lambda states: states["succeeded"] >= TRIGGERS)
    _stop_triggers(database)
    states = _wait(database, lambda states: not states["started"])
    runs = _runs(database)
    record_property(
        "storm", f"{len(runs)} runs of {TRIGGERS} triggers, {engines.killed} engines killed, {dict(states)}"
    )
    by_operation = collections.defaultdict(list)
    for run in runs:
        by_operation[run.scheduled_operation_id].append(run.due_at)
    assert set(by_operation) == set(operations)
    for times in by_operation.values():
        distances = {later - earlier for earlier, later in itertools.pairwise(sorted(times))}
        assert distances <= {timedelta(seconds=EVERY)}, "a due time is missing or was recorded twice"
        assert min(times) - began <= timedelta(seconds=EVERY)

    created = collections.Counter()
    for checkpoint in rest_api.made.values():
        info = json.loads(checkpoint["extra_info"])
        created[info["scheduled_operation_id"], info["due_at"]] += 1
    assert set(created.values()) <= {1}, "a run has two checkpoints"
    succeeded = {(run.scheduled_operation_id, run.due_at.isoformat()) for run in runs if run.state == "succeeded"}
    assert set(created) == succeeded
    assert len(succeeded) == len({run.checkpoint_id for run in runs if run.state == "succeeded"})
    assert set(states) <= {"succeeded", "skipped", "missed"}
