"""Restarts of RabbitMQ and of database servers while an operation runs: a few cells, with real servers."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest

from karbor_like import exception
from karbor_like.rpc import transport
from karbor_like.rpc.protection import ProtectionClient
from tests.cloud.processes import Supervisor
from tests.cloud.servers import MariaDB, PostgreSQL, RabbitMQ
from tests.faults.kinds import KINDS, Heal, Kind
from tests.faults.matrix import Matrix
from tests.faults.points import AFTER, BEFORE, Point, Visit
from tests.faults.system import System, running
from tests.functional.protection.site import until


def restarts(servers: Supervisor, server: MariaDB | PostgreSQL | RabbitMQ, seconds: float) -> Kind:
    """Return the fault that a server is stopped, and started again after some seconds, when leases have expired."""
    daemon = server.daemon()

    def strike(system: System, visit: Visit) -> Heal:
        servers.stop(daemon.name)
        return lambda: servers.ensure(daemon)

    def applies(point: Point) -> bool:
        return point.when == BEFORE and (point.what == "finish" or (point.what, point.task[:5]) == ("execute", "main "))

    return Kind("restart", f"{daemon.name} restarted", applies, strike, seconds=seconds)


def check(system: System, kind: Kind) -> None:
    """Run the cells of a protect and of a restore."""
    matrix = Matrix(system, {kind.name: kind})
    for operation in ("protect", "restore"):
        cells = matrix.cells("volume", operation, kind.name)
        assert len(cells) == 2
        for cell in cells:
            result = matrix.run(cell)
            assert result.struck, cell
            assert not result.problems, f"{cell}: {result.problems}\n{system.logs()}"


@pytest.fixture(
    params=[
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ]
)
def database(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def outage(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--faults-outage"))


def test_a_database_server_is_restarted(
    tmp_path: Path, servers: Supervisor, database: MariaDB | PostgreSQL, outage: float
):
    url = database.new_database()
    with running(tmp_path, database_url=url) as system:
        check(system, restarts(servers, database, outage))
    database.drop(url)


@contextlib.contextmanager
def connected(system: System) -> Iterator[ProtectionClient]:
    bus = transport.get(system.conf)
    client = ProtectionClient(system.conf, bus)
    yield client
    transport.close(bus)


def wait_for_answer(system: System, client: ProtectionClient) -> None:
    def answer() -> Any:
        try:
            return client.list_providers(system.context())
        except (exception.KarborLikeError, oslo_messaging.MessagingException):
            return None

    assert until(answer, bool, 240, "an answer over the bus")


def test_the_message_bus_is_restarted(
    tmp_path: Path, servers: Supervisor, rabbitmq: RabbitMQ, transport_url: str, outage: float
):
    with running(tmp_path, transport_url=transport_url) as system, connected(system) as client:
        wait_for_answer(system, client)
        check(system, restarts(servers, rabbitmq, outage))
        wait_for_answer(system, client)


def test_one_end_of_a_call_is_killed_when_the_rows_are_written(tmp_path: Path, transport_url: str):
    """In the matrix, the API and the other end of its calls are one process."""

    def kill_api(system: System, visit: Visit) -> Heal:
        system.kill(int(system.front.pid or 0))
        return lambda: None

    both = KINDS["kill-request"]
    kinds = {"service": both, "api": dataclasses.replace(both, name="api", strike=kill_api)}
    with running(tmp_path, transport_url=transport_url) as system, connected(system) as client:
        wait_for_answer(system, client)
        matrix = Matrix(system, kinds)
        for kind in kinds:
            (cell,) = [
                cell
                for cell in matrix.cells("volume", "protect", kind)
                if (cell.point.what, cell.point.when, cell.point.nth) == ("write", AFTER, 1)
            ]
            result = matrix.run(cell)
            assert result.struck, cell
            assert not result.problems, f"{cell}: {result.problems}\n{system.logs()}"
