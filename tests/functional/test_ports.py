"""The ports of the services: their own metrics, and whether they work."""

import http.client
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_db import exception as db_exception

from karbor_like import service
from karbor_like.api.server import ApiService
from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.operationengine.service import OperationEngine
from karbor_like.protection.service import ProtectionService
from karbor_like.rpc import transport
from tests.fixtures.api import check_tokens
from tests.fixtures.configuration import write_service

SECONDS = 240


def configure(directory: Path, database_url: str | None = None) -> cfg.ConfigOpts:
    path = write_service(
        directory / "karbor_like.conf",
        database_url=database_url,
        api={"host": "127.0.0.1", "port": 0},
        metrics={f"{name}_port": 0 for name in ("api", "protection", "operationengine")} | {"timeout": SECONDS},
    )
    conf = service.configure([], files=[str(path)])
    transport.stay_inside(conf)
    return conf


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    found = configure(tmp_path)
    database = Database(found)
    migration.sync(database)
    database.dispose()
    return found


@pytest.fixture
def without_database(tmp_path: Path) -> cfg.ConfigOpts:
    return configure(tmp_path, "sqlite:////nowhere/db.sqlite")


def ask(address: tuple[str, int], path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_each_service_answers_for_itself(conf):
    services = [ProtectionService(conf), OperationEngine(conf), ApiService(conf, check_tokens)]
    for one in services:
        one.start()
    try:
        protection, operations, api = [one.exporter.address for one in services]
        for address in (protection, operations, api):
            status, text = ask(address, "/metrics")
            assert (status, "\nkarbor_like_up 1.0\n" in text) == (200, True)
        assert ask(protection, "/healthz") == (200, "database: OK\nrpc: OK\nthreads: OK\n")
        assert ask(operations, "/healthz") == (200, "database: OK\nrpc: OK\nthreads: OK\n")
        assert ask(api, "/healthz") == (200, "database: OK\nrpc: OK\n")
    finally:
        for one in reversed(services):
            one.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(operations, "/healthz")


@pytest.mark.parametrize("kind", [ProtectionService, OperationEngine, ApiService])
def test_a_service_can_be_stopped_before_it_starts(without_database, kind):
    one = kind(without_database)
    one.reset()
    one.stop()


@pytest.mark.parametrize("kind", [ProtectionService, OperationEngine])
def test_a_service_can_be_stopped_while_it_starts(without_database, kind):
    """It waits for the database, and has its port already."""
    one = kind(without_database)
    with pytest.raises(db_exception.DBError):
        one.start()
    one.reset()
    address = one.exporter.address
    one.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(address, "/healthz")
