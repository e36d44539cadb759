"""The ports of the services: their own metrics, and whether they work."""

import http.client
from pathlib import Path

import pytest

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


@pytest.fixture
def conf(tmp_path: Path):
    path = write_service(
        tmp_path / "karbor_like.conf",
        api={"host": "127.0.0.1", "port": 0},
        metrics={f"{name}_port": 0 for name in ("api", "protection", "operationengine")} | {"timeout": SECONDS},
    )
    found = service.configure([], files=[str(path)])
    transport.stay_inside(found)
    database = Database(found)
    migration.sync(database)
    database.dispose()
    return found


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
