"""The client of network block devices against a server that follows the protocol, and servers that do not."""

import contextlib
import os
import random
import struct
import threading
from collections.abc import Iterator

import pytest

from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import SourceFailed, TargetFailed
from karbor_like.datapath.nbd import ALLOCATION, DEPTH, MOST_BYTES, Client
from tests.unit.datapath import server as fake
from tests.unit.datapath.server import Request, Server, chunk, data, option_reply, simple

SIZE = 100_000
GENEROUS = 60.0
SHORT = 0.5


@contextlib.contextmanager
def client(server: Server, timeout: float = GENEROUS, **options) -> Iterator[Client]:
    with fake.running(server) as socket:
        connected = Client(socket, "volume", timeout=timeout, **options)
        try:
            yield connected
        finally:
            connected.close()


def content() -> bytearray:
    return bytearray(random.Random(1).randbytes(SIZE))


def test_reads_and_writes() -> None:
    server = Server(content())
    with client(server, failed=TargetFailed) as connected:
        assert connected.size == SIZE
        assert not connected.read_only
        connected.write(100, memoryview(b"new"))
        connected.flush()
        assert connected.read(99, 5).result() == server.content[99:104]
        assert connected.read(0, 0).result() == b""
        connected.write(0, memoryview(b""))
    assert [request.command for request in server.seen] == [fake.WRITE, fake.FLUSH, fake.READ, fake.DISCONNECT]


def test_zeros_are_not_transferred_if_the_server_can_do_without() -> None:
    for flags, command in ((0b1000101, fake.WRITE_ZEROES), (0b101, fake.WRITE)):
        server = Server(content(), flags=flags)
        with client(server) as connected:
            connected.write(1000, memoryview(bytes(5000)))
            connected.write(0, memoryview(b"\0x\0"))
        assert server.content[:6000] == b"\0x\0" + content()[3:1000] + bytes(5000)
        assert [request.command for request in server.seen][:2] == [command, fake.WRITE]


def test_a_server_without_structured_replies() -> None:
    def read(server: Server, request: Request) -> bytes:
        return simple(request) + server.content[request.offset : request.offset + request.length]

    options = {fake.STRUCTURED: option_reply(fake.STRUCTURED, fake.UNSUPPORTED)}
    server = Server(content(), {fake.READ: read}, options)
    with client(server) as connected:
        assert connected.read(0, SIZE).result() == server.content
        assert list(connected.allocated()) == [Extent(0, SIZE)]
        assert connected.contexts == []
        with pytest.raises(SourceFailed, match="volume: the server has no base:allocation"):
            list(connected.describe(ALLOCATION))


def test_a_read_in_chunks_with_holes() -> None:
    def read(server: Server, request: Request) -> bytes:
        hole = struct.pack(">QI", request.offset + 10, 20)
        return (
            data(request, b"x" * 10, done=False)
            + chunk(request, fake.HOLE, hole, done=False)
            + data(request, b"y" * 10, offset=request.offset + 30, done=False)
            + chunk(request, 0)
        )

    with client(Server(content(), {fake.READ: read})) as connected:
        assert connected.read(500, 40).result() == b"x" * 10 + bytes(20) + b"y" * 10


def test_answers_in_another_order() -> None:
    held = list[Request]()

    def read(server: Server, request: Request) -> bytes | None:
        held.append(request)
        if len(held) < 20:
            return None
        random.Random(2).shuffle(held)
        return b"".join(data(each, server.content[each.offset : each.offset + each.length]) for each in held)

    server = Server(content(), {fake.READ: read})
    with client(server) as connected:
        reads = [connected.read(offset, 1000) for offset in range(0, 20_000, 1000)]
        for number, read_ in enumerate(reads):
            assert read_.result() == server.content[number * 1000 : (number + 1) * 1000]


def test_maps() -> None:
    ranges = {
        ALLOCATION: [(1000, 0), (2000, 0), (3000, 3), (500, 2), (500, 1), (SIZE - 7000, 3)],
        DEPTH: [(4000, 0), (1000, 1), (1000, 2), (1000, 3), (SIZE - 7000, 1)],
    }
    with client(Server(content(), ranges=ranges), contexts=(ALLOCATION, DEPTH)) as connected:
        assert connected.contexts == [ALLOCATION, DEPTH]
        assert list(connected.allocated()) == [Extent(0, 3000), Extent(6500, 500)]
        assert list(connected.stored_above(2)) == [Extent(4000, 2000), Extent(7000, SIZE - 7000)]
        assert list(connected.stored_above(0)) == []


def test_an_error_fails_one_request_and_not_the_connection() -> None:
    def read(server: Server, request: Request) -> bytes:
        if request.offset:
            return data(request, bytes(request.length))
        text = b"disk\x1b on\nfire"
        return chunk(request, fake.ERROR, struct.pack(">IH", 5, len(text)) + text)

    def write(server: Server, request: Request) -> bytes:
        return simple(request, 28)

    answers = {fake.READ: read, fake.WRITE: write, fake.FLUSH: write}
    with client(Server(content(), answers), failed=TargetFailed) as connected:
        with pytest.raises(TargetFailed, match="^volume: read of 10 bytes at 0: input/output error: disk  on fire$"):
            connected.read(0, 10).result()
        with pytest.raises(TargetFailed, match="^volume: write of 1 bytes at 5: no space left on device$"):
            connected.write(5, memoryview(b"x"))
        with pytest.raises(TargetFailed, match="no space left"):
            connected.flush()
        assert connected.read(1, 10).result() == bytes(10)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (0, -1), (2**64, 1)])
def test_out_of_bounds(offset: int, length: int) -> None:
    server = Server(content())
    with client(server) as connected, pytest.raises(SourceFailed, match="out of bounds; the volume has 100000 bytes"):
        connected.read(offset, length)
    assert [request.command for request in server.seen] == [fake.DISCONNECT]


def test_a_read_of_too_many_bytes() -> None:
    options = {
        fake.GO: option_reply(fake.GO, fake.INFO, struct.pack(">HQH", 0, 2**50, 1)) + option_reply(fake.GO, fake.ACK)
    }
    with client(Server(content(), {}, options)) as connected, pytest.raises(SourceFailed, match="more than 33554432"):
        connected.read(0, MOST_BYTES + 1)


def test_bytes_in_flight_are_limited() -> None:
    """The fifth read of 8 MiB is sent only after another one was answered."""
    options = {
        fake.GO: option_reply(fake.GO, fake.INFO, struct.pack(">HQH", 0, 2**50, 1)) + option_reply(fake.GO, fake.ACK)
    }
    arrived, release = threading.Semaphore(0), threading.Event()

    def answer_late(server: Server, request: Request) -> bytes | None:
        arrived.release()
        if len(server.seen) < 4:
            return None
        release.wait(GENEROUS)
        return b"".join(
            chunk(one, fake.HOLE, struct.pack(">QI", one.offset, one.length))
            for one in (server.seen if len(server.seen) == 4 else [request])
        )

    server = Server(content(), {fake.READ: answer_late}, options)
    with client(server) as connected:
        piece = MOST_BYTES // 4
        reads = [connected.read(number * piece, piece) for number in range(4)]
        more = threading.Thread(target=lambda: reads.append(connected.read(0, piece)))
        more.start()
        for _ in range(4):
            assert arrived.acquire(timeout=GENEROUS)
        assert len(server.seen) == 4
        release.set()
        more.join()
        assert all(read.result() == bytes(piece) for read in reads)


def hostile_reads() -> dict[str, fake.Answer]:
    """Answers to a read of 100 bytes at 1000 that break the protocol."""

    def hole(offset: int, length: int) -> bytes:
        return struct.pack(">QI", offset, length)

    return {
        "end": lambda server, request: server.connection.close(),
        "end-within-the-data": lambda server, request: (
            server.connection.sendall(data(request, bytes(100))[:50]),
            server.connection.close(),
        )[1],
        "noise": lambda server, request: random.Random(3).randbytes(1000),
        "another-cookie": lambda server, request: chunk(request, 0, cookie=request.cookie + 1),
        "too-short": lambda server, request: data(request, bytes(99)),
        "nothing": lambda server, request: chunk(request, 0),
        "too-long": lambda server, request: data(request, bytes(101)),
        "before": lambda server, request: data(request, bytes(100), offset=999),
        "after": lambda server, request: data(request, bytes(1), offset=1100),
        "gap": lambda server, request: data(request, bytes(50), done=False) + data(request, bytes(40), offset=1060),
        "overlap": lambda server, request: data(request, bytes(50), done=False) + data(request, bytes(60), offset=1040),
        "no-data": lambda server, request: data(request, b""),
        "huge-data": lambda server, request: struct.pack(
            ">IHHQIQ", 0x668E33EF, 1, fake.DATA, request.cookie, 2**32 - 1, 1000
        ),
        "huge-hole": lambda server, request: chunk(request, fake.HOLE, hole(1000, 2**32 - 1)),
        "hole-without-length": lambda server, request: chunk(request, fake.HOLE, b"12345678"),
        "unknown-chunk": lambda server, request: chunk(request, 77),
        "status": lambda server, request: chunk(request, fake.STATUSES, bytes(12)),
        "huge-error": lambda server, request: chunk(request, fake.ERROR, struct.pack(">IH", 5, 9) + bytes(5000)),
        "short-error": lambda server, request: chunk(request, fake.ERROR, b"123"),
        "simple": lambda server, request: simple(request) + bytes(100),
        "answered-twice": lambda server, request: data(request, bytes(99), done=False) + chunk(request, 0),
    }


@pytest.mark.parametrize("kind", hostile_reads())
def test_an_answer_that_breaks_the_protocol(kind: str) -> None:
    server = Server(content(), {fake.READ: hostile_reads()[kind]})
    with client(server) as connected:
        reads = [connected.read(1000, 100)]
        with contextlib.suppress(SourceFailed):
            reads.append(connected.read(1000, 100))
        for read in reads:
            with pytest.raises(SourceFailed, match=r"^volume: read of 100 bytes at 1000: the server (broke|closed)"):
                read.result()
        with pytest.raises(SourceFailed, match=r"^volume: the server (broke|closed)"):
            connected.read(0, 1)


def trickle(server: Server, request: Request) -> None:
    """Send single bytes as long as the client accepts them."""
    whole = data(request, bytes(request.length))
    with contextlib.suppress(OSError):
        for byte in whole:
            server.connection.sendall(bytes([byte]))
            threading.Event().wait(SHORT / 10)


@pytest.mark.parametrize(
    "answer",
    [lambda server, request: None, trickle, lambda server, request: chunk(request, 0, done=False)],
    ids=["silent", "trickle", "unfinished"],
)
def test_a_server_that_does_not_answer_in_time(answer: fake.Answer) -> None:
    with client(Server(content(), {fake.READ: answer, fake.FLUSH: answer}), timeout=SHORT) as connected:
        with pytest.raises(SourceFailed, match=r"^volume: read of 1000 bytes at 0: no answer within 0.5 s$"):
            connected.read(0, 1000).result()
        with pytest.raises(SourceFailed, match=r"^volume: no answer within 0.5 s$"):
            connected.flush()


def test_a_server_that_does_not_receive() -> None:
    stop = threading.Event()

    def wait(server: Server, request: Request) -> None:
        stop.wait(GENEROUS)

    with client(Server(content() * 50, {fake.FLUSH: wait}), timeout=SHORT, failed=TargetFailed) as connected:
        flush = threading.Thread(target=lambda: pytest.raises(TargetFailed, connected.flush))
        flush.start()
        with pytest.raises(TargetFailed, match=r"no answer within|closed"):
            connected.write(0, memoryview(os.urandom(4_000_000)))
        flush.join()
        stop.set()


def hostile_maps() -> dict[str, fake.Answer]:
    def body(*entries: tuple[int, int], context: int = 0) -> bytes:
        return struct.pack(">I", context) + b"".join(struct.pack(">II", *entry) for entry in entries)

    return {
        "unknown-context": lambda server, request: chunk(request, fake.STATUSES, body((10, 0), context=9)),
        "empty-range": lambda server, request: chunk(request, fake.STATUSES, body((0, 0), (10, 0))),
        "no-range": lambda server, request: chunk(request, fake.STATUSES, body()),
        "twice": lambda server, request: chunk(request, fake.STATUSES, body((1, 0)), done=False) * 2,
        "cut": lambda server, request: chunk(request, fake.STATUSES, body((10, 0))[:-1] + b""),
        "huge": lambda server, request: struct.pack(">IHHQI", 0x668E33EF, 1, fake.STATUSES, request.cookie, 2**31),
        "success-without": lambda server, request: simple(request),
        "nothing": lambda server, request: chunk(request, 0),
        "data": lambda server, request: data(request, bytes(100)),
        "steps-of-one-byte": lambda server, request: chunk(
            request, fake.STATUSES, body((1, server.seen.__len__() % 2))
        ),
    }


@pytest.mark.parametrize("kind", hostile_maps())
def test_a_map_that_breaks_the_protocol(kind: str) -> None:
    server = Server(content(), {fake.STATUS: hostile_maps()[kind]}, ranges={ALLOCATION: []})
    with client(server) as connected, pytest.raises(SourceFailed, match="broke the protocol|ranges without an end"):
        list(connected.describe(ALLOCATION))


def test_a_map_longer_than_the_volume_is_cut() -> None:
    with client(Server(content(), ranges={ALLOCATION: [(2**32 - 1, 0)]})) as connected:
        assert list(connected.allocated()) == [Extent(0, SIZE)]


@pytest.mark.parametrize(
    ("greeting", "options"),
    [
        (b"", {}),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {}),
        (b"NBDMAGIC" + bytes(200), {}),
        (fake.GREETING[:-2] + b"\0\0", {}),
        (fake.GREETING, {fake.GO: option_reply(fake.GO, fake.ACK)}),
        (fake.GREETING, {fake.GO: option_reply(fake.GO, fake.UNSUPPORTED + 5, b"no such export")}),
        (fake.GREETING, {fake.GO: option_reply(99, fake.ACK)}),
        (fake.GREETING, {fake.GO: b"\0" * 20}),
        (fake.GREETING, {fake.GO: option_reply(fake.GO, fake.INFO, b"\0\0") * 100}),
        (fake.GREETING, {fake.GO: struct.pack(">QIII", 0x3E889045565A9, fake.GO, fake.INFO, 2**31)}),
        (
            fake.GREETING,
            {fake.GO: option_reply(fake.GO, 3, struct.pack(">HQH", 0, 2**63, 1)) + option_reply(fake.GO, fake.ACK)},
        ),
        (fake.GREETING, {fake.STRUCTURED: b""}),
    ],
)
def test_a_handshake_that_breaks_the_protocol(greeting: bytes, options: dict[int, bytes]) -> None:
    server = Server(content(), {}, options, greeting)
    with fake.running(server) as socket, pytest.raises(SourceFailed, match="^volume: "):
        Client(socket, "volume", timeout=SHORT)


def test_requests_in_flight_fail_when_the_client_is_closed() -> None:
    with client(Server(content(), {fake.READ: lambda server, request: None})) as connected:
        read = connected.read(0, 100)
        connected.close()
        with pytest.raises(SourceFailed, match="the connection is closed"):
            read.result()
        with pytest.raises(SourceFailed, match="the connection is closed"):
            connected.read(0, 100)


def test_many_threads() -> None:
    server = Server(content())
    source = random.Random(4)
    ranges = [(offset, source.randrange(1, 5000)) for offset in source.choices(range(SIZE - 5000), k=400)]
    failures = list[tuple[int, int]]()

    with client(server) as connected:

        def read(part: list[tuple[int, int]]) -> None:
            for offset, length in part:
                if connected.read(offset, length).result() != server.content[offset : offset + length]:
                    failures.append((offset, length))

        threads = [threading.Thread(target=read, args=[ranges[number::8]]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
