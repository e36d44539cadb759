"""The port of a process: what it answers, to whom, and for how long."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like import exception, service
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.db.session import Database
from karbor_like.metrics import exporter, health
from karbor_like.metrics.exporter import Exporter
from karbor_like.watchdog import Watchdog
from tests.fixtures.api import empty_database  # noqa: F401 - a fixture
from tests.fixtures.configuration import write_service
from tests.structure.source import ROOT

LONG = 60.0


@pytest.fixture
def conf(tmp_path, empty_database):  # noqa: F811
    shutil.copy(empty_database, tmp_path / "db.sqlite")
    path = write_service(tmp_path / "karbor_like.conf", database_url=f"sqlite:///{tmp_path}/db.sqlite")
    found = service.configure([], files=[str(path)])
    found.set_override("protection_port", 0, group="metrics")
    return found


class Silent(Database):
    """A database that takes connections and does not answer until its gate is open."""

    gate = threading.Event()

    @contextlib.contextmanager
    def lookup(self) -> Iterator[sa.Connection]:
        assert self.gate.wait(LONG)
        with super().lookup() as connection:
            yield connection


@pytest.fixture
def database(conf) -> Iterator[Database]:
    found = Silent(conf)
    found.gate.set()
    yield found
    found.gate.set()
    found.dispose()


@pytest.fixture
def serve(conf, database):
    """A function that starts an exporter and returns its address."""
    started = []

    def start(checks: health.Checks | None = None, number: int = 0) -> Any:
        found = Exporter(conf, "protection_port", number, database, checks or {}, SystemClock())
        started.append(found)
        found.start()
        return found.address

    yield start
    for found in started:
        found.stop()


def ask(address: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address, timeout=LONG)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_nothing_listens_unless_a_port_is_configured(conf, database):
    conf.clear_override("protection_port", group="metrics")
    found = Exporter(conf, "protection_port", 0, database, {}, SystemClock())
    found.start()
    assert found.address is None
    found.stop()


def test_what_is_answered(serve):
    address = serve({"database": lambda: None})
    assert address[0] == "127.0.0.1"
    status, text = ask(address, "/metrics")
    assert status == 200
    assert "\nkarbor_like_up 1.0\n" in text
    assert "\nprocess_open_fds " in text
    assert "\n# TYPE karbor_like_operations_total counter\n" in text
    assert ask(address, "/healthz") == (200, "database: OK\n")
    assert ask(address, "/metrics", "HEAD") == (200, "")
    assert ask(address, "/metrics", "POST")[0] == 405
    assert ask(address, "/v1/p/plans")[0] == 404
    assert ask(address, f"/{'x' * 20_000}")[0] >= 400


def test_what_does_not_work_is_named_without_secrets(serve):
    def unreachable() -> None:
        raise exception.BusUnavailable("no answer from amqp://user:secret@10.0.0.1:5672/ in 5 seconds")

    def away() -> None:
        raise db_exception.DBError(ValueError("mysql://user:secret@db/x"))

    status, text = ask(serve({"rpc": unreachable, "database": away, "threads": lambda: None}), "/healthz")
    assert status == 503
    assert text == "rpc: no answer from (address) in 5 seconds\ndatabase: does not answer\nthreads: OK\n"


def test_a_thread_that_hangs_is_named():
    clock = ManualClock()
    dog = Watchdog(clock, 1, end=lambda: None)
    health.check_threads(dog)
    with dog.watch("the poll").working():
        for _ in range(3):
            clock.advance(1)
            dog.check()
        finding = health.look("threads", lambda: health.check_threads(dog))
    assert (finding.good, finding.line) == (False, "threads: the poll has made no progress for 3 seconds")


def test_a_silent_database_delays_an_answer_for_a_limited_time(conf, database, serve):
    conf.set_override("timeout", 0.1, group="metrics")
    database.gate.clear()
    address = serve({"database": lambda: database.gate.wait(LONG)})
    with futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(address, "/metrics"), range(50)))
    for status, text in answers:
        assert status == 200
        assert "\nkarbor_like_up 0.0\n" in text
        assert "karbor_like_services{" not in text
        assert "karbor_like_operation_claims_total " in text
    assert ask(address, "/healthz") == (503, "health: the checks have lasted longer than 0.1 s\n")
    # It is asked once, no matter how many clients there are.
    assert [thread.name for thread in threading.enumerate()].count("metrics") == 2


def test_fifty_clients_cause_one_look_at_the_database(serve, database):
    address = serve()
    statements: list[str] = []
    with database.lookup() as connection:
        engine = connection.engine
    sa.event.listen(engine, "before_cursor_execute", lambda conn, cursor, text, *rest: statements.append(text))
    with futures.ThreadPoolExecutor(50) as pool:
        assert all("karbor_like_up 1.0" in text for _, text in pool.map(lambda _: ask(address, "/metrics"), range(50)))
    assert len([text for text in statements if "services" in text]) == 1


def test_clients_that_send_no_request_and_read_no_answer_do_not_hold_the_port(serve, monkeypatch):
    monkeypatch.setattr(exporter, "_CLIENT_SECONDS", 1.0)
    address = serve()
    with contextlib.ExitStack() as stack:
        for number in range(exporter._MAX_CONNECTIONS + 10):
            slow = stack.enter_context(socket.create_connection(address, timeout=LONG))
            slow.sendall(b"GET /metrics HTTP/1.1\r\n" + (b"\r\n" * 100 if number % 2 else b""))
        assert ask(address, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_reported_and_stops_nothing(conf, serve, caplog):
    _, port = serve()
    conf.set_override("protection_port", port - 1, group="metrics")
    assert serve(number=1) is None
    assert f"cannot listen on 127.0.0.1:{port}" in caplog.text


SHARED = """
import os
from karbor_like.metrics import families, page
child = os.fork()
families.CLAIMS.inc(2 if child else 40)
if not child:
    os._exit(0)
os.waitpid(child, 0)

class Nothing:
    def collect(self):
        return ()

found = page.Metrics(Nothing())
print({family.name: [sample.value for sample in family.samples] for family in found.collect()})
"""


def test_processes_that_share_a_directory_answer_for_all_of_them(tmp_path):
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SHARED], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    found = eval(done.stdout)  # noqa: S307 - of the script above
    assert found["karbor_like_operation_claims"] == [42]
