"""Restarts of RabbitMQ and of database servers while an operation runs: a few cells, with real servers."""

import contextlib
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
from tests.faults.kinds import Heal, Kind
from tests.faults.matrix import Matrix
from tests.faults.points import BEFORE, Point, Visit
from tests.faults.system import LEASE, System, running
from tests.functional.protection.site import until


def restarts(servers: Supervisor, server: MariaDB | PostgreSQL | RabbitMQ) -> Kind:
    """Return the fault that a server is stopped, and started again when leases have expired."""
    daemon = server.daemon()

    def strike(system: System, visit: Visit) -> Heal:
        servers.stop(daemon.name)
        return lambda: servers.ensure(daemon)

    def applies(point: Point) -> bool:
        return point.when == BEFORE and (point.what == "finish" or (point.what, point.task[:5]) == ("execute", "main "))

    return Kind("restart", f"{daemon.name} restarted", applies, strike, seconds=LEASE + 1)


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


def test_a_database_server_is_restarted(tmp_path: Path, servers: Supervisor, database: MariaDB | PostgreSQL):
    url = database.new_database()
    with running(tmp_path, database_url=url) as system:
        check(system, restarts(servers, database))
    database.drop(url)


@contextlib.contextmanager
def connected(system: System) -> Iterator[ProtectionClient]:
    bus = transport.get(system.conf)
    client = ProtectionClient(system.conf, bus)
    yield client
    transport.close(bus)


def test_the_message_bus_is_restarted(tmp_path: Path, servers: Supervisor, rabbitmq: RabbitMQ, transport_url: str):
    with running(tmp_path, transport_url=transport_url) as system, connected(system) as client:

        def answer() -> Any:
            try:
                return client.list_providers(system.context())
            except (exception.KarborLikeError, oslo_messaging.MessagingException):
                return None

        assert until(answer, bool, 240, "an answer over the bus")
        check(system, restarts(servers, rabbitmq))
        assert until(answer, bool, 240, "an answer over the bus after its restart")
