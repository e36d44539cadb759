"""The real server: what it refuses before authentication, slow clients, and requests that wait for other services."""

import contextlib
import http.client
import itertools
import json
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import oslo_messaging
import pytest

from karbor_like.api.server import ApiService
from karbor_like.db.plans import PLANS
from karbor_like.domain import states
from karbor_like.rpc import protection as rpc
from karbor_like.rpc import transport
from tests.fixtures.api import PROJECT_A, PROJECT_B, check_tokens, token

_KIB, _MIB = 1 << 10, 1 << 20
#: Maximum bytes that a client can send although the server does not read them: the kernel buffers of both ends.
_IN_THE_KERNEL = 32 * _MIB


_THREADS = 4
_SECONDS = 240


@pytest.fixture
def client_timeout() -> float:
    return 3600


@pytest.fixture
def address(conf, client_timeout: float) -> Iterator[tuple[str, int]]:
    """Of a server in this process."""
    for name, value in {"host": "127.0.0.1", "port": 0, "threads": _THREADS, "client_timeout": client_timeout}.items():
        conf.set_override(name, value, group="api")
    service = ApiService(conf, check_tokens)
    service.start()
    yield service.address
    service.stop()


def _send(address: tuple[str, int], parts: Iterable[bytes]) -> tuple[int, bytes]:
    """Send until the other side hangs up. Returns how many bytes it took, and its answer."""
    sent = 0
    with socket.create_connection(address, timeout=240) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                sent += len(part)
                assert sent < 8 * _IN_THE_KERNEL, "it continues to read"
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := connection.recv(64 * _KIB):
                answer += part
        except ConnectionResetError:
            pass
    return sent, answer


@pytest.mark.parametrize(
    ("start", "part", "status"),
    [
        (b"GET /", b"x" * 64 * _KIB, b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX-Auth-Token: ", b"x" * 64 * _KIB, b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X-Same: " + b"y" * 1000 + b"\r\n", b"431"),
    ],
    ids=["request line", "header", "headers"],
)
def test_endless_headers_are_refused(address, start: bytes, part: bytes, status: bytes):
    sent, answer = _send(address, itertools.chain([start], itertools.repeat(part)))
    assert sent < _IN_THE_KERNEL
    assert answer.split(b" ", 2)[1] == status


@pytest.mark.parametrize("path", ["/", "/healthcheck", "/v1/openapi.json", f"/v1/{PROJECT_A}/plans"])
def test_a_body_that_nobody_wants_is_not_read(address, path: str):
    start = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {1 << 34}\r\n\r\n"
    sent, answer = _send(address, itertools.chain([start.encode()], itertools.repeat(b"x" * 64 * _KIB)))
    assert sent < _IN_THE_KERNEL
    assert answer.split(b" ", 2)[1] == b"413"


def test_long_tokens_are_no_attack(address):
    token = b"x" * 16 * _KIB
    request = b"GET /v1/%s/plans HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Auth-Token: %s\r\n\r\n"
    _, answer = _send(address, [request % (PROJECT_A.encode(), token)])
    assert answer.split(b" ", 2)[1] == b"401"


def get(address: tuple[str, int], path: str, project: str = PROJECT_A) -> tuple[int, Any]:
    """Return the status and the body."""
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=_SECONDS)) as connection:
        connection.request("GET", f"/v1/{project}{path}", headers={"X-Auth-Token": token("member", project)})
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def test_a_request_that_the_server_refuses_has_the_shape_of_all_errors(address):
    _, answer = _send(address, [b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n"])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400"
    assert json.loads(body)["badRequest"]["code"] == 400


@pytest.mark.parametrize("client_timeout", [1])
def test_a_slow_client_is_cut_off(address):
    """It sends one byte after the other, so that it is never idle."""
    with socket.create_connection(address, timeout=0.1) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        for _ in range(_SECONDS * 10):
            try:
                connection.sendall(b"x")
                assert connection.recv(1) == b""
                return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("it is still connected")


class Silent:
    """A protection service whose cloud does not answer."""

    target = oslo_messaging.Target(version=rpc.VERSION)

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.answers = threading.Event()

    def list_instances(self, ctxt: Any, **arguments: Any) -> list[Any]:
        self.asked.release()
        self.answers.wait(_SECONDS)
        return []


@pytest.fixture
def silent(conf) -> Iterator[Silent]:
    endpoint = Silent()
    bus = transport.get(conf)
    target = oslo_messaging.Target(topic=rpc.TOPIC, server="here", version=rpc.VERSION)
    server = transport.server(conf, bus, target, endpoint)
    server.start()
    yield endpoint
    endpoint.answers.set()
    server.stop()
    server.wait()
    bus.cleanup()


def test_slow_clients_and_a_silent_cloud_do_not_stop_others(address, database, silent):
    with database.writer() as session:
        values = {"name": "nightly", "provider_id": str(uuid.uuid4()), "status": states.SUSPENDED}
        plan = PLANS.insert(session, project_id=PROJECT_A, resources=[], parameters={}, **values)
        path = f"/plans/{plan.id}"
    listing = "/protectables/OS::Cinder::Volume/instances"
    projects = [PROJECT_A, PROJECT_B, "c" * 32]
    waiting: list[tuple[int, Any]] = []
    callers = [
        threading.Thread(target=lambda project=project: waiting.append(get(address, listing, project)))
        for project in projects
    ]
    with contextlib.ExitStack() as connections:
        for start in itertools.islice(
            itertools.cycle([b"", b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\n"]), 10 * _THREADS
        ):
            connections.enter_context(socket.create_connection(address)).sendall(start)
        for caller in callers:
            caller.start()
            assert silent.asked.acquire(timeout=_SECONDS)
        # Three of four threads wait, one for each project.
        for project in (PROJECT_A, "d" * 32):
            status, body = get(address, listing, project)
            assert (status, body["serviceUnavailable"]["type"]) == (503, "service.busy")
        for _ in range(2 * _THREADS):
            assert get(address, path)[0] == 200
    silent.answers.set()
    for caller in callers:
        caller.join(_SECONDS)
    assert [status for status, _ in waiting] == [200] * 3
