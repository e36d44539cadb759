"""Connecting to servers of network block devices: exact receiving within time limits, and newstyle negotiation."""

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_INIT_MAGIC: Final = 0x4E42444D41474943
_OPTION_MAGIC: Final = 0x49484156454F5054
_OPTION_REPLY_MAGIC: Final = 0x3E889045565A9
_FIXED_NEWSTYLE: Final = 1
_NO_ZEROES: Final = 2
_OPT_GO: Final = 7
_OPT_STRUCTURED_REPLY: Final = 8
_OPT_SET_META_CONTEXT: Final = 10
_REP_ACK: Final = 1
_REP_INFO: Final = 3
_REP_META_CONTEXT: Final = 4
_REP_ERROR: Final = 1 << 31
_INFO_EXPORT: Final = 0
_HAS_FLAGS: Final = 1

#: The most replies to one option, and bytes of each.
_MOST_REPLIES: Final = 64
_MOST_REPLY_BYTES: Final = 64 * 1024


class Violation(Exception):  # noqa: N818 - never leaves the client
    """The server broke a rule of the protocol."""


class Wire:
    """A socket with a timeout, and limits that a server which sends single bytes cannot extend."""

    def __init__(self, connection: socket.socket) -> None:
        self._descriptor = connection.fileno()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def receive(self, size: int, patience: Callable[[], float]) -> bytearray:
        """Receive exactly *size* bytes. *patience* returns the seconds to wait before it is asked again, or raises."""
        buffer = bytearray(size)
        self.receive_into(memoryview(buffer), patience)
        return buffer

    def receive_into(self, view: memoryview, patience: Callable[[], float]) -> None:
        while view:
            left = patience()
            try:
                # A system call of its own: with a timeout, methods of sockets make two.
                count = os.readv(self._descriptor, [view])
            except BlockingIOError:
                self._poll.poll(max(left * 1000, 1))
                continue
            if not count:
                raise EOFError
            view = view[count:]


class Handshake:
    """Newstyle negotiation, which ends in the transmission phase."""

    def __init__(self, connection: socket.socket, wire: Wire, timeout: float) -> None:
        self._socket = connection
        self._wire = wire
        self._deadline = time.monotonic() + timeout

    def run(self, export: str, contexts: Sequence[str]) -> tuple[Mapping[int, str] | None, int, int]:
        """Returns the contexts by number, None without structured replies; the size; flags of the export."""
        magic, option, flags = struct.unpack(">QQH", self._receive(18))
        if (magic, option) != (_INIT_MAGIC, _OPTION_MAGIC) or not flags & _FIXED_NEWSTYLE:
            raise Violation("a greeting of another protocol")
        self._socket.sendall(struct.pack(">I", _FIXED_NEWSTYLE | (flags & _NO_ZEROES)))
        name = export.encode()
        numbers: dict[int, str] | None = None
        if self._accepted(_OPT_STRUCTURED_REPLY, b"") is not None:
            numbers = {}
            queries = b"".join(struct.pack(">I", len(query)) + query for query in map(str.encode, contexts))
            body = struct.pack(">I", len(name)) + name + struct.pack(">I", len(contexts)) + queries
            for kind, reply in self._accepted(_OPT_SET_META_CONTEXT, body) or []:
                if kind == _REP_META_CONTEXT and (text := bytes(reply[4:]).decode(errors="replace")) in contexts:
                    numbers[struct.unpack_from(">I", reply)[0]] = text
        replies = self._accepted(_OPT_GO, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))
        for kind, reply in replies or []:
            if kind == _REP_INFO and len(reply) == 12 and struct.unpack_from(">H", reply)[0] == _INFO_EXPORT:
                size, export_flags = struct.unpack_from(">QH", reply, 2)
                if size >= 1 << 63 or not export_flags & _HAS_FLAGS:
                    raise Violation(f"an export of {size} bytes")
                return numbers, size, export_flags
        raise Violation("no export")

    def _accepted(self, option: int, body: bytes) -> Sequence[tuple[int, bytearray]] | None:
        """Send an option. Returns the replies before the acknowledgement, or None if the server does not have the option."""
        self._socket.sendall(struct.pack(">QII", _OPTION_MAGIC, option, len(body)) + body)
        replies = list[tuple[int, bytearray]]()
        for _ in range(_MOST_REPLIES):
            magic, answered, kind, length = struct.unpack(">QIII", self._receive(20))
            if magic != _OPTION_REPLY_MAGIC or answered != option or length > _MOST_REPLY_BYTES:
                raise Violation("a reply to no option")
            reply = self._receive(length)
            if kind == _REP_ACK:
                return replies
            if kind & _REP_ERROR:
                if option != _OPT_GO:
                    return None
                raise Violation(f"a refusal: {printable(reply.decode(errors='replace'))}")
            replies.append((kind, reply))
        raise Violation("too many replies to an option")

    def _receive(self, size: int) -> bytearray:
        return self._wire.receive(size, self._patience)

    def _patience(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def printable(text: str) -> str:
    """Return what a server says as one line of limited length."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:500]).strip()
