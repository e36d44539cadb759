"""Benchmark of the API's reads, and of lists as a bank fills: ``python -m tests.perf.api``.

The benchmark starts the processes of a deployment, with MariaDB and RabbitMQ (``--embedded``: one process with SQLite), and
sends HTTP requests with tokens of the sandbox's Keystone. It prints requests per second, also per second of CPU time of the
API's processes: user and system time of these alone, without the clients, MariaDB and everything else on the machine, and
with tokens that they have in their caches. It prints the latency of a page of 100 checkpoints out of 100 and out of many,
for a bank in a file system and one in Swift. Lists come from the database; for comparison, a page of the bank's own index is
measured, with as many checkpoints as can be put into it in ``--fill-seconds``. This is not a test: no result makes it fail.
"""

import argparse
import contextlib
import functools
import http.client
import json
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from karbor_like.bank import layout
from karbor_like.bank.checkpoints.events import micros
from karbor_like.clock import SystemClock
from karbor_like.db.models import Checkpoint, Plan
from karbor_like.db.session import Database
from karbor_like.protection.registry import providers
from tests.cloud.net import HOST, free_port
from tests.cloud.processes import Supervisor
from tests.cloud.servers import MariaDB, RabbitMQ
from tests.fixtures import swift
from tests.fixtures.cloud import Backing, SandboxCloud
from tests.fixtures.database import open_database
from tests.fixtures.system import System
from tests.perf.blockstore.__main__ import machine
from tests.perf.scheduler.__main__ import figure, say

GOAL_RATIO = 1.5
PAGE = 100
_PLANS = 100
#: Seconds after which a bank in a file system keeps names of its index.
_SETTLED = 4
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_GRAPH = json.dumps([{"0x0": ["OS::Cinder::Volume", str(uuid.UUID(int=1)), "a volume", None]}, [["0x0", []]]])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.api", description=__doc__)
    parser.add_argument("--embedded", action="store_true", help="one process on SQLite, without a message bus")
    parser.add_argument("--checkpoints", type=int, default=100_000, help="in each bank's index")
    parser.add_argument("--seconds", type=float, default=10, help="of reading plans")
    parser.add_argument("--clients", type=int, default=8, help="connections that read plans at the same time")
    parser.add_argument("--rounds", type=int, default=30, help="pages of each kind")
    parser.add_argument("--fill-seconds", type=float, default=20, help="for filling the index of each bank")
    parser.add_argument("--output", type=Path, default=Path("perf-results/api.json"))
    return parser.parse_args(arguments)


class Caller:
    """A tenant with one persistent connection."""

    def __init__(self, system: System) -> None:
        session = system.cloud.session("alice")
        self.project_id = str(session.get_project_id())
        self._headers = {"X-Auth-Token": str(session.get_token())}
        self._connection = http.client.HTTPConnection(HOST, system.port, timeout=60)

    def get(self, path: str) -> Any:
        self._connection.request("GET", f"/v1/{self.project_id}{path}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)


# Plans


def reads(system: System, plan_id: str, clients: int, seconds: float) -> tuple[float, float, list[float]]:
    """Measure requests per second, requests per second of CPU time of the API's processes, and milliseconds of each."""
    callers = [Caller(system) for _ in range(clients)]
    for caller in callers:
        caller.get(f"/plans/{plan_id}")
    worker = _workers(system)
    busy, until = _busy(worker), time.perf_counter() + seconds
    taken: list[float] = []

    def read(caller: Caller) -> None:
        while (began := time.perf_counter()) < until:
            caller.get(f"/plans/{plan_id}")
            taken.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=read, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(taken) / seconds, len(taken) / (_busy(worker) - busy), taken


def _workers(system: System) -> list[psutil.Process]:
    parent = psutil.Process(system.process(system.names[0]))
    return [parent, *parent.children(recursive=True)]


def _busy(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


# Lists


def fill(database: Database, project_id: str, provider_id: str, first: int, count: int) -> None:
    """Create rows of checkpoints from number *first* on, 100 for each day. One plan has all of the first 100."""
    for start in range(first, first + count, 2000):
        rows = [_row(project_id, provider_id, number) for number in range(start, min(start + 2000, first + count))]
        with database.writer() as session:
            session.execute(sa.insert(Checkpoint), rows)


def _row(project_id: str, provider_id: str, number: int) -> dict[str, Any]:
    plan_id = str(uuid.UUID(int=0 if number < PAGE else number % _PLANS))
    return {
        "id": str(uuid.uuid4()),
        "project_id": project_id,
        "provider_id": provider_id,
        "plan_id": plan_id,
        "status": "available",
        "plan": {"id": plan_id, "name": "nightly", "provider_id": provider_id, "resources": []},
        "resource_graph": _GRAPH,
        "extra_info": {"created_by": "manual"},
        "logical_bytes": 1 << 30,
        "new_bytes": 1 << 20,
        "stored_bytes": 1 << 19,
        "created_at": _FIRST_DAY + timedelta(days=number // PAGE, seconds=number % PAGE),
    }


def pages(system: System, database: Database, provider_id: str, rounds: int) -> dict[str, float]:
    """Measure the median of the milliseconds of each kind of page."""
    caller = Caller(system)
    path = f"/providers/{provider_id}/checkpoints?limit={PAGE}"
    with database.reader() as session:
        query = sa.select(Checkpoint.id).where(Checkpoint.provider_id == provider_id).order_by(Checkpoint.created_at)
        ids = session.execute(query).scalars().all()
    kinds = {
        "first page": path,
        "one plan": f"{path}&plan_id={uuid.UUID(int=0)}",
        "one day": f"{path}&start_date={_FIRST_DAY:%Y-%m-%d}&end_date={_FIRST_DAY:%Y-%m-%d}",
    }
    if len(ids) > PAGE:
        kinds["middle page"] = f"{path}&marker={ids[len(ids) // 2]}"
        kinds["last page"] = f"{path}&marker={ids[PAGE]}"
    return {kind: _median(functools.partial(_page, caller, asked), rounds) for kind, asked in kinds.items()}


def _page(caller: Caller, path: str) -> None:
    assert len(caller.get(path)["checkpoints"]) == PAGE


def _median(work: Callable[[], Any], rounds: int) -> float:
    work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def index_of_the_bank(
    system: System, name: str, limit: int, seconds: float, rounds: int
) -> tuple[int, float, float, float]:
    """Fill a bank's own index. Returns how many checkpoints fit into the time, and the milliseconds of a page out of 100, of
    the first page out of all, and of further ones.
    """
    provider = providers.read(system.directory / "providers.d" / f"{name}.conf", SystemClock())
    assert provider is not None
    found, until = provider.bank.checkpoints.index, time.perf_counter() + seconds
    prefix = layout.index_prefix("by-provider", provider.id, layout.NEWEST)
    directory = system.directory / "bank" / "karbor" if name == "files" else None

    def put(number: int) -> int:
        """Put the index key that the page below uses."""
        if number >= PAGE and time.perf_counter() > until:
            return 0
        row = _row("p" * 32, provider.id, number)
        named = layout.IndexName(micros(row["created_at"]), provider.id, row["project_id"], row["plan_id"], row["id"])
        key = layout.index_key(prefix, layout.NEWEST, named)
        if directory is None:
            provider.bank.store.put(key, b"")
        else:
            # Unlike the driver, this does not wait for the disk each time.
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            (directory / key).touch()
        return 1

    def page() -> None:
        assert len(found.list(provider_id=provider.id, limit=PAGE)) == PAGE

    with contextlib.closing(provider), futures.ThreadPoolExecutor(16) as pool:
        count = sum(pool.map(put, range(PAGE)))
        few = _median(page, rounds)
        until = time.perf_counter() + seconds
        while count < limit and time.perf_counter() < until:
            count += sum(pool.map(put, range(count, min(count + 1000, limit))))
        began = time.perf_counter()
        page()
        first = (time.perf_counter() - began) * 1000
        time.sleep(_SETTLED)
        return count, few, first, _median(page, rounds)


# Everything


def measure(system: System, database: Database, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure everything. Returns name, value, unit and goal of each figure."""
    figures = []
    project_id = Caller(system).project_id
    plan: dict[str, Any] = {"project_id": project_id, "name": "nightly", "provider_id": system.noop_provider}
    plan |= {"status": "suspended", "id": str(uuid.uuid4()), "parameters": {}, "created_at": _FIRST_DAY}
    plan["resources"] = [{"id": str(uuid.uuid4()), "type": "OS::Cinder::Volume", "name": "a volume"}] * 3
    with database.writer() as session:
        session.execute(sa.insert(Plan), [plan])
    each, per_core, taken = reads(system, plan["id"], arguments.clients, arguments.seconds)
    figures.append(figure(f"reads of a plan, {arguments.clients} connections", each, "1/s"))
    figures.append(figure("... per second of CPU time of the API", per_core, "1/s"))
    figures.append(figure("... the median", statistics.median(taken), "ms"))
    figures.append(figure("... 19 of 20 within", statistics.quantiles(taken, n=20)[-1], "ms"))

    banks = {"files": system.file_provider, "swift": system.provider}
    few = {}
    for name, provider_id in banks.items():
        fill(database, project_id, provider_id, 0, PAGE)
        few[name] = pages(system, database, provider_id, arguments.rounds)
    for provider_id in banks.values():
        say(f"{arguments.checkpoints} checkpoints")
        fill(database, project_id, provider_id, PAGE, arguments.checkpoints - PAGE)
    for name, provider_id in banks.items():
        for kind, many in pages(system, database, provider_id, arguments.rounds).items():
            base = few[name].get(kind, few[name]["first page"])
            figures.append(figure(f"{name}: {kind}, {PAGE} checkpoints", base, "ms"))
            figures.append(figure(f"{name}: {kind}, {arguments.checkpoints} checkpoints", many, "ms"))
            figures.append(figure("... times as long", many / base, "", GOAL_RATIO))
    for name in banks:
        count, before, first, after = index_of_the_bank(
            system, name, arguments.checkpoints, arguments.fill_seconds, arguments.rounds
        )
        figures.append(figure(f"{name}: page of the bank's own index, {PAGE} in it", before, "ms"))
        figures.append(figure(f"{name}: page of the bank's own index, {count} in it, after a change", first, "ms"))
        figures.append(figure(f"{name}: page of the bank's own index, {count} in it", after, "ms"))
        figures.append(figure("... times as long", after / before, "", GOAL_RATIO))
    return figures


@contextlib.contextmanager
def running(embedded: bool) -> Iterator[System]:
    """Run the services with a sandbox cloud and a bank in a real Swift."""
    state = Path(tempfile.mkdtemp(prefix="karbor_like-perf-", dir="/var/tmp"))
    state.chmod(0o755)
    supervisor = Supervisor(state)
    # So that no server outlives a benchmark that is terminated.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, state, ignore_errors=True)
        stack.callback(supervisor.stop_all, gently=False)
        backing = Backing(f"sqlite:///{state}/karbor_like.sqlite", "fake://")
        if not embedded:
            mariadb = MariaDB(state / "mariadb", free_port())
            rabbitmq = RabbitMQ(state / "rabbitmq", [free_port() for _ in range(4)])
            for server in (mariadb, rabbitmq):
                server.prepare()
                supervisor.ensure(server.daemon())
            backing = Backing(mariadb.new_database(), rabbitmq.new_vhost())
        for name in ("sandbox", "swift"):
            (state / name).mkdir()
        cloud = stack.enter_context(SandboxCloud(state / "sandbox"))
        store = stack.enter_context(swift.running(state / "swift"))
        system = System(cloud, backing, state / "system")
        _use(system, store)
        stack.callback(system.stop)
        system.up()
        yield system


def _use(system: System, store: swift.Swift) -> None:
    """Move the bank from the sandbox's Swift to *store*."""
    path = system.directory / "providers.d" / "swift.conf"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("swift_")]
    client = [f"swift_auth_url = {store.auth_url}", f"swift_user = {store.user}", f"swift_key = {store.key}"]
    at = lines.index("[swift_client]") + 1
    path.write_text("\n".join([*lines[:at], "swift_auth_version = 1", *client, *lines[at:], ""]))


def main(arguments: Sequence[str] | None = None) -> None:
    parsed = parse(arguments)
    described = machine()
    print(f"load {described['load']:.1f} on {described['cores']} cores", flush=True)
    with running(parsed.embedded) as system:
        text = system.configuration.read_text()
        database = open_database(text.split("\nconnection = ")[1].splitlines()[0])
        figures = measure(system, database, parsed)
        database.dispose()
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(json.dumps({"machine": described, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
