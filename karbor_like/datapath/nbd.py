"""Client of the network block device protocol, for volumes that a local ``qemu-nbd`` serves.

It is written here because the Python binding of libnbd is not on PyPI and no other maintained client is. It is as fast as the
binding: most time is spent in the kernel. Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md

The server is not trusted: lengths, cookies and magic numbers of its answers are checked, memory is limited, and each request
has a time limit. A server that breaks a rule loses its connection, and all requests fail.
"""

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from karbor_like import exception
from karbor_like.datapath.contract import Extent
from karbor_like.datapath.errors import SourceFailed
from karbor_like.datapath.handshake import Handshake, Violation, Wire, printable
from karbor_like.datapath.room import Room

#: Contexts of maps: which ranges read as zero, and in which file of a chain a range is stored.
ALLOCATION: Final = "base:allocation"
DEPTH: Final = "qemu:allocation-depth"
#: The most bytes of one read or write: what every server accepts.
MOST_BYTES: Final = 32 * 1024 * 1024
#: The most bytes in flight per connection. More requests than that wait.
_IN_FLIGHT: Final = MOST_BYTES

_ZERO: Final = 2  # flag of base:allocation
_REQUEST_MAGIC: Final = 0x25609513
_SIMPLE_MAGIC: Final = 0x67446698
_CHUNK_MAGIC: Final = 0x668E33EF
_READ_ONLY, _CAN_FLUSH, _CAN_WRITE_ZEROES = 1 << 1, 1 << 2, 1 << 6
_READ, _WRITE, _DISCONNECT, _FLUSH, _WRITE_ZEROES, _BLOCK_STATUS = 0, 1, 2, 3, 6, 7
_DONE: Final = 1
_CHUNK_NONE, _CHUNK_DATA, _CHUNK_HOLE, _CHUNK_STATUS, _CHUNK_ERROR = 0, 1, 2, 5, 1 << 15

_MOST_MESSAGE_BYTES: Final = 4096
#: The most bytes of one description of a range; qemu sends 128 Ki entries of 8 bytes.
_MOST_STATUS_BYTES: Final = 2 * 1024 * 1024
_STATUS_RANGE: Final = 1024**3
#: Answers per description of a whole volume: one per cluster of qcow2, and some more.
_STATUS_STEP: Final = 64 * 1024


class Status(NamedTuple):
    """A range, and what the server says of it in one context."""

    extent: Extent
    flags: int


@dataclass
class _Request:
    command: int
    offset: int
    length: int
    deadline: float
    future: Future[bytes] = field(default_factory=Future)
    buffer: bytes | bytearray = b""
    received: int = 0
    status: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    error: str | None = None


class Client:
    """One connection. Thread-safe, except for :meth:`close`.

    :param connection: connected; the client closes it
    :param what: name of the volume, for errors
    :param timeout: seconds per request, and for the handshake
    :param failed: class of errors
    :param contexts: of maps, requested from the server, which may not have them
    """

    def __init__(
        self,
        connection: socket.socket,
        what: str,
        *,
        timeout: float,
        failed: type[exception.ResourceFailed] = SourceFailed,
        export: str = "",
        contexts: Sequence[str] = (ALLOCATION,),
    ) -> None:
        self._socket = connection
        self._what = what
        self._timeout = timeout
        self._failed = failed
        self._wire = Wire(connection)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._pending: dict[int, _Request] = {}
        self._cookies = itertools.count(1)
        self._room = Room(_IN_FLIGHT)
        #: Received into, and copied from. New memory is expensive, because the kernel clears it.
        self._scratch = bytearray()
        self._broken: str | None = None
        connection.settimeout(timeout)
        try:
            self._contexts, self.size, self._flags = Handshake(connection, self._wire, timeout).run(export, contexts)
        except (OSError, EOFError, struct.error, Violation) as error:
            connection.close()
            raise failed(f"{what}: {_reason(error, timeout)}") from None
        self._structured = self._contexts is not None
        self._thread = threading.Thread(target=self._receive_replies, name="nbd", daemon=True)
        self._thread.start()

    @property
    def contexts(self) -> Collection[str]:
        """The contexts that the server has."""
        return list((self._contexts or {}).values())

    @property
    def read_only(self) -> bool:
        return bool(self._flags & _READ_ONLY)

    def read(self, offset: int, length: int) -> Future[bytes]:
        """Begin to read exactly *length* bytes, at most :data:`MOST_BYTES`. Waits while too many bytes are in flight.

        Callbacks of the future run in the thread that receives, and must not call the client.
        """
        self._check_bounds("read", offset, length)
        if length == 0:
            empty = Future[bytes]()
            empty.set_result(b"")
            return empty
        return self._begin(_READ, offset, length).future

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of *data*, at most :data:`MOST_BYTES`. Zeros are not transferred, if the server can do without."""
        self._check_bounds("write", offset, len(data))
        if not data:
            return
        if self._flags & _CAN_WRITE_ZEROES and _is_zero(data):
            self._begin(_WRITE_ZEROES, offset, len(data)).future.result()
        else:
            self._begin(_WRITE, offset, len(data), data).future.result()

    def flush(self) -> None:
        """Return when everything that was written is durable."""
        self.check()
        if self._flags & _CAN_FLUSH:
            self._begin(_FLUSH, 0, 0).future.result()

    def check(self) -> None:
        """Raise if the connection was lost or closed."""
        if self._broken is not None:
            raise self._failed(f"{self._what}: {self._broken}")

    def describe(self, context: str) -> Iterator[Status]:
        """Yield what the server says of all of the volume in a context, in ascending order; like neighbours are joined."""
        wanted = next((number for number, name in (self._contexts or {}).items() if name == context), None)
        if wanted is None:
            raise self._failed(f"{self._what}: the server has no {context}")
        at, start, current = 0, 0, -1
        for _ in range(self.size // _STATUS_STEP + 1000):
            if at == self.size:
                break
            request = self._begin(_BLOCK_STATUS, at, min(_STATUS_RANGE, self.size - at))
            request.future.result()
            for length, flags in request.status.get(wanted, []):
                if flags != current:
                    if at > start:
                        yield Status(Extent(start, at - start), current)
                    start, current = at, flags
                at = min(at + length, self.size)
        if at < self.size:
            raise self._failed(f"{self._what}: the server describes ranges without an end")
        if at > start:
            yield Status(Extent(start, at - start), current)

    def allocated(self) -> Iterator[Extent]:
        """Yield the ranges that the server does not know to read as zero. All, if it has no such map."""
        if ALLOCATION not in self.contexts:
            return iter([Extent(0, self.size)] if self.size else [])
        return _joined(status.extent for status in self.describe(ALLOCATION) if not status.flags & _ZERO)

    def stored_above(self, depth: int) -> Iterator[Extent]:
        """Yield the ranges that the top *depth* files of a chain have. The server must have the context :data:`DEPTH`."""
        return _joined(status.extent for status in self.describe(DEPTH) if 1 <= status.flags <= depth)

    def close(self) -> None:
        """End the connection. Idempotent. Requests in flight fail. Waits for the thread of the client."""
        with self._lock:
            idle = not self._pending and self._broken is None
        if idle:
            with suppress(OSError):
                self._socket.send(_request(_DISCONNECT, 0, 0, 0), socket.MSG_DONTWAIT)
        self._break("the connection is closed")
        self._thread.join()
        with self._sending:
            self._socket.close()

    def _check_bounds(self, verb: str, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self._failed(
                f"{self._what}: {verb} of {length} bytes at {offset}: out of bounds; the volume has {self.size} bytes"
            )
        if length > MOST_BYTES:
            raise self._failed(f"{self._what}: {verb} of {length} bytes at {offset}: more than {MOST_BYTES} at once")

    def _begin(self, command: int, offset: int, length: int, data: memoryview | None = None) -> _Request:
        """Send a request. Its future gets the data, or the error."""
        size = length if command in (_READ, _WRITE) else 0
        if not self._room.take(size, self._timeout):
            self._break(f"no answer within {self._timeout:g} s")
        request = _Request(command, offset, length, time.monotonic() + self._timeout)
        request.future.set_running_or_notify_cancel()
        with self._sending:
            with self._lock:
                if self._broken is not None:
                    self._room.give(size)
                    raise self._failed(f"{self._what}: {self._broken}")
                cookie = next(self._cookies)
                # The limit counts from here, so that deadlines ascend in the order of requests.
                request.deadline = time.monotonic() + self._timeout
                self._pending[cookie] = request
            try:
                # Both calls are limited by the timeout of the socket.
                self._socket.sendall(_request(command, cookie, offset, length), socket.MSG_MORE if data else 0)
                if data:
                    self._socket.sendall(data)
            except OSError as error:
                self._break(_reason(error, self._timeout))
        return request

    def _break(self, reason: str) -> None:
        """Give up the connection. Idempotent: the first reason counts."""
        with self._lock:
            self._broken = reason if self._broken is None else self._broken
            pending, self._pending = self._pending, {}
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for request in pending.values():
            self._finish(request, self._broken)

    def _finish(self, request: _Request, error: str | None) -> None:
        self._room.give(request.length if request.command in (_READ, _WRITE) else 0)
        if error is None:
            request.future.set_result(bytes(request.buffer))
            return
        verb = {_READ: "read", _WRITE: "write", _WRITE_ZEROES: "write", _FLUSH: "flush"}.get(request.command, "map")
        where = f"{verb} of {request.length} bytes at {request.offset}"
        request.future.set_exception(self._failed(f"{self._what}: {where}: {error}"))

    def _receive_replies(self) -> None:
        try:
            while True:
                self._receive_reply()
        except (OSError, EOFError, struct.error, Violation) as error:
            self._break(_reason(error, self._timeout))

    def _patience(self) -> float:
        with self._lock:
            oldest = next(iter(self._pending.values()), None)
        if oldest is None:
            # A request that begins meanwhile has a later deadline than the end of this wait.
            return self._timeout
        left = oldest.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _receive(self, size: int) -> bytearray:
        return self._wire.receive(size, self._patience)

    def _receive_reply(self) -> None:
        magic = struct.unpack(">I", self._receive(4))[0]
        if magic == _SIMPLE_MAGIC:
            error, cookie = struct.unpack(">IQ", self._receive(12))
            request = self._request_of(cookie)
            if error:
                request.error = _strerror(error)
            elif request.command == _READ:
                if self._structured:
                    raise Violation("a simple reply to a read")
                self._receive_data(request, request.offset, request.length)
            self._complete(cookie, request)
        elif magic == _CHUNK_MAGIC and self._structured:
            flags, kind, cookie, length = struct.unpack(">HHQI", self._receive(16))
            request = self._request_of(cookie)
            self._receive_chunk(request, kind, length)
            if flags & _DONE:
                self._complete(cookie, request)
        else:
            raise Violation(f"a reply that begins with {magic:#x}")

    def _request_of(self, cookie: int) -> _Request:
        with self._lock:
            request = self._pending.get(cookie)
        if request is None:
            raise Violation("a reply to no request")
        return request

    def _complete(self, cookie: int, request: _Request) -> None:
        if request.error is None:
            if request.command == _READ and request.received != request.length:
                raise Violation(f"{request.received} bytes instead of {request.length}")
            if request.command == _BLOCK_STATUS and not request.status:
                raise Violation("no description of a range")
        with self._lock:
            removed = self._pending.pop(cookie, None)
        if removed is not None:
            self._finish(request, request.error)

    def _receive_chunk(self, request: _Request, kind: int, length: int) -> None:
        if kind & _CHUNK_ERROR:
            if not 6 <= length <= _MOST_MESSAGE_BYTES:
                raise Violation(f"an error of {length} bytes")
            body = self._receive(length)
            error, size = struct.unpack_from(">IH", body)
            text = bytes(body[6 : 6 + size]).decode(errors="replace")
            request.error = request.error or _strerror(error) + (f": {printable(text)}" if text else "")
        elif kind == _CHUNK_NONE and length == 0:
            pass
        elif kind == _CHUNK_DATA and request.command == _READ and length > 8:
            (offset,) = struct.unpack(">Q", self._receive(8))
            self._receive_data(request, offset, length - 8)
        elif kind == _CHUNK_HOLE and request.command == _READ and length == 12:
            _, size = hole = struct.unpack(">QI", self._receive(12))
            self._place(request, *hole)
            request.buffer = request.buffer or bytes(size)
        elif kind == _CHUNK_STATUS and request.command == _BLOCK_STATUS and 12 <= length <= _MOST_STATUS_BYTES:
            self._receive_status(request, length)
        else:
            raise Violation(f"a chunk of type {kind} with {length} bytes")

    def _place(self, request: _Request, offset: int, length: int) -> int:
        """Check that a chunk follows the one before it, as all servers send them. Returns its place in the buffer."""
        at = offset - request.offset
        if at != request.received or length == 0 or at + length > request.length:
            raise Violation(f"{length} bytes at {offset} in the answer to a read at {request.offset}")
        request.received += length
        if length < request.length and not request.buffer:
            request.buffer = bytearray(request.length)
        return at

    def _receive_data(self, request: _Request, offset: int, length: int) -> None:
        at = self._place(request, offset, length)
        if length < request.length:
            self._wire.receive_into(memoryview(request.buffer)[at : at + length], self._patience)
            return
        if len(self._scratch) < length:
            self._scratch = bytearray(length)
        with memoryview(self._scratch)[:length] as view:
            self._wire.receive_into(view, self._patience)
            request.buffer = bytes(view)

    def _receive_status(self, request: _Request, length: int) -> None:
        body = self._receive(length)
        (context,) = struct.unpack_from(">I", body)
        if length % 8 != 4 or context not in (self._contexts or {}) or context in request.status:
            raise Violation("a description that was not requested")
        entries = list(struct.iter_unpack(">II", memoryview(body)[4:]))
        if any(size == 0 for size, _ in entries):
            raise Violation("a description of an empty range")
        request.status[context] = entries


def _request(command: int, cookie: int, offset: int, length: int) -> bytes:
    return struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, command, cookie, offset, length)


def _joined(extents: Iterator[Extent]) -> Iterator[Extent]:
    """Join neighbours."""
    current: Extent | None = None
    for extent in extents:
        if current is not None and current.end == extent.offset:
            current = Extent(current.offset, current.length + extent.length)
            continue
        if current is not None:
            yield current
        current = extent
    if current is not None:
        yield current


def _is_zero(data: memoryview) -> bool:
    # The ends are compared first, because most data is not zero there.
    return not data[0] and not data[-1] and data.tobytes().count(0) == len(data)


def _strerror(error: int) -> str:
    # The numbers of the protocol are those of Linux.
    return os.strerror(error).lower() if error < 200 else f"error {error}"


def _reason(error: Exception, timeout: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case EOFError() | ConnectionError():
            return "the server closed the connection"
        case Violation() | struct.error():
            return f"the server broke the protocol: {error}"
        case _:
            return f"the connection failed: {error}"
