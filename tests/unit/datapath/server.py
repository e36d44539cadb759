"""A small server of network block devices in a thread, which breaks the protocol on request."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)
READ, WRITE, DISCONNECT, FLUSH, WRITE_ZEROES, STATUS = 0, 1, 2, 3, 6, 7
DATA, HOLE, STATUSES, ERROR = 1, 2, 5, (1 << 15) + 1
GO, STRUCTURED, CONTEXTS = 7, 8, 10
ACK, INFO, CONTEXT, UNSUPPORTED = 1, 3, 4, (1 << 31) + 1


class Request(NamedTuple):
    command: int
    cookie: int
    offset: int
    length: int


Answer = Callable[["Server", Request], bytes | None]


def chunk(request: Request, kind: int, body: bytes = b"", *, done: bool = True, cookie: int | None = None) -> bytes:
    """Encode a structured reply."""
    number = request.cookie if cookie is None else cookie
    return struct.pack(">IHHQI", 0x668E33EF, int(done), kind, number, len(body)) + body


def simple(request: Request, error: int = 0) -> bytes:
    return struct.pack(">IIQ", 0x67446698, error, request.cookie)


def option_reply(option: int, kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(body)) + body


def data(request: Request, content: bytes, *, offset: int | None = None, done: bool = True) -> bytes:
    at = request.offset if offset is None else offset
    return chunk(request, DATA, struct.pack(">Q", at) + content, done=done)


@dataclass
class Server:
    """Serves *content*.

    :param answers: replacements of the answers to commands. None: no answer
    :param options: replacements of the answers to options
    :param ranges: what it says of the whole, per context: lengths and flags
    """

    content: bytearray
    answers: Mapping[int, Answer] = field(default_factory=dict)
    options: Mapping[int, bytes] = field(default_factory=dict)
    greeting: bytes = GREETING
    flags: int = 0b1000101
    ranges: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    connection: Any = None

    def receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self.connection.recv(size - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received

    def serve(self, connection: socket.socket) -> None:
        self.connection = connection
        with connection, contextlib.suppress(EOFError, OSError):
            connection.sendall(self.greeting)
            self.receive(4)
            while self._negotiate():
                pass
            while True:
                self._answer(Request(*struct.unpack(">4xHHQQI", self.receive(28))[1:]))

    def _negotiate(self) -> bool:
        _, option, length = struct.unpack(">QII", self.receive(16))
        self.receive(length)
        if option in self.options:
            reply = self.options[option]
        elif option == GO:
            info = struct.pack(">HQH", 0, len(self.content), self.flags)
            reply = option_reply(option, INFO, info)
        elif option == CONTEXTS:
            numbers = enumerate(self.ranges)
            reply = b"".join(
                option_reply(option, CONTEXT, struct.pack(">I", number) + name.encode()) for number, name in numbers
            )
        else:
            reply = b""
        if option not in self.options:
            reply += option_reply(option, ACK)
        self.connection.sendall(reply)
        return option != GO

    def _answer(self, request: Request) -> None:
        body = self.receive(request.length) if request.command == WRITE else b""
        self.seen.append(request)
        if request.command == DISCONNECT:
            raise EOFError
        if request.command in self.answers:
            reply = self.answers[request.command](self, request)
            if reply is not None:
                self.connection.sendall(reply)
            return
        end = request.offset + request.length
        if request.command == READ:
            self.connection.sendall(data(request, bytes(self.content[request.offset : end])))
        elif request.command == STATUS:
            for number, entries in enumerate(self.ranges.values()):
                rest = self._from(entries, request.offset)
                body = struct.pack(">I", number) + b"".join(struct.pack(">II", *entry) for entry in rest)
                self.connection.sendall(chunk(request, STATUSES, body, done=number == len(self.ranges) - 1))
        else:
            if request.command == WRITE:
                self.content[request.offset : end] = body
            elif request.command == WRITE_ZEROES:
                self.content[request.offset : end] = bytes(request.length)
            self.connection.sendall(simple(request))

    @staticmethod
    def _from(entries: list[tuple[int, int]], offset: int) -> list[tuple[int, int]]:
        """Return two entries from *offset* on, so that clients have to ask again."""
        at, found = 0, list[tuple[int, int]]()
        for length, flags in entries:
            if at + length > offset:
                found.append((at + length - max(at, offset), flags))
            at += length
        return found[:2]


@contextlib.contextmanager
def running(server: Server) -> Iterator[socket.socket]:
    """Run a server until its client has gone away. Returns the socket of the client."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=server.serve, args=[theirs])
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join()
