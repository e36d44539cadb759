"""What the server refuses before authentication: it must not keep in memory what unauthenticated clients send."""

import itertools
import socket
from collections.abc import Iterable, Iterator

import pytest

from karbor_like.api.server import ApiService
from tests.fixtures.api import PROJECT_A, check_tokens

_KIB, _MIB = 1 << 10, 1 << 20
#: Maximum bytes that a client can send although the server does not read them: the kernel buffers of both ends.
_IN_THE_KERNEL = 32 * _MIB


@pytest.fixture
def address(conf) -> Iterator[tuple[str, int]]:
    """Of a server in this process."""
    conf.set_override("host", "127.0.0.1", group="api")
    conf.set_override("port", 0, group="api")
    service = ApiService(conf, check_tokens)
    service.start()
    yield service.address
    service.stop()


def _send(address: tuple[str, int], parts: Iterable[bytes]) -> tuple[int, bytes]:
    """Send until the other side hangs up. Returns how many bytes it took, and its answer."""
    sent = 0
    with socket.create_connection(address, timeout=30) as connection:
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
        (b"GET /", b"x" * 64 * _KIB, b"414"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX-Auth-Token: ", b"x" * 64 * _KIB, b"413"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X-Same: " + b"y" * 1000 + b"\r\n", b"413"),
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
