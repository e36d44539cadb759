"""The API as a real process: threads only, signals, two instances on one port."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from karbor_like.db import migration
from karbor_like.db.session import Database
from tests.fixtures import processes
from tests.fixtures.api import configuration
from tests.fixtures.configuration import write_service

_ROOT = Path(__file__).parents[3]
_SECONDS = 240
_WORKERS = 2


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def config(tmp_path: Path) -> tuple[Path, int]:
    """A configuration file and the port in it. No service answers on the bus, so a health check takes its whole timeout."""
    database = Database(configuration(tmp_path / "api.sqlite"))
    migration.sync(database)
    database.dispose()
    port = _free_port()
    path = write_service(
        tmp_path / "karbor_like.conf",
        database_url=f"sqlite:///{tmp_path / 'api.sqlite'}",
        api={"host": "127.0.0.1", "port": port, "workers": _WORKERS, "health_timeout": 2},
        keystone_authtoken={"www_authenticate_uri": "http://127.0.0.1:9/identity"},
    )
    return path, port


@pytest.fixture
def start(config: tuple[Path, int], tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Start an instance and wait until all its workers listen."""
    with contextlib.ExitStack() as running:
        started = itertools.count()

        def start() -> subprocess.Popen:
            log = tmp_path / f"api-{next(started)}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "karbor_like.cmd.api", "--config-file", str(config[0])],
                    cwd=_ROOT,
                    env=processes.environment(),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            running.callback(_end, process)
            deadline = time.monotonic() + _SECONDS
            while log.read_text().count("listening on") < _WORKERS:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            return process

        yield start


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_what_it_answers_without_a_token(config, start):
    start()
    status, headers, body = _get(config[1], "/")
    assert (status, headers["content-type"]) == (300, "application/json")
    assert json.loads(body)["versions"][0]["id"] == "v1.0"
    assert headers["x-openstack-request-id"] == headers["x-compute-request-id"]
    status, headers, body = _get(config[1], f"/v1/{'a' * 32}/plans")
    assert (status, headers["www-authenticate"]) == (401, 'Keystone uri="http://127.0.0.1:9/identity"')
    assert json.loads(body)["error"]["code"] == 401
    assert json.loads(_get(config[1], "/v1/openapi.json")[2])["openapi"] == "3.1.0"
    assert _get(config[1], "/healthcheck")[0] == 503


def test_a_request_in_flight_ends_before_the_process(config, start):
    process = start()
    answers = []
    # A health check without a service on the bus is a request that takes two seconds.
    asking = threading.Thread(target=lambda: answers.append(_get(config[1], "/healthcheck")[0]))
    asking.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    asking.join(_SECONDS)
    assert answers == [503]
    assert process.wait(_SECONDS) == os.EX_OK


def test_a_hang_up_signal_is_no_interruption(config, start):
    process = start()
    process.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert _get(config[1], "/")[0] == 300
    assert process.poll() is None


def test_a_second_instance_takes_over(config, start):
    first, second = start(), start()
    first.terminate()
    assert first.wait(_SECONDS) == os.EX_OK
    assert [_get(config[1], "/")[0] for _ in range(5)] == [300] * 5
    assert second.poll() is None
