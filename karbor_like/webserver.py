"""HTTP servers of this project: waitress, which gives each client a limited time and ends without losing requests.

One thread reads requests and sends answers, for all connections. The threads that run the application only get complete
requests, so that slow clients and idle connections occupy none of them.
"""

import socket
import threading
import types
from collections.abc import Callable
from typing import Any, Final

from waitress import adjustments, channel, parser, task, wasyncore
from waitress import server as waitress_server

from karbor_like.clock import Clock, SystemClock

_SERVER_NAME: Final = "karbor_like"
#: Connections that the kernel queues while the process accepts none.
_BACKLOG: Final = 128
#: Seconds between two checks whether the last requests have been answered.
_POLL: Final = 0.05
#: Seconds for the end of the thread that serves connections.
_END_SECONDS: Final = 5.0

Application = Callable[..., Any]


class _Task(task.WSGITask):
    """Sends the header of an answer with the beginning of the body: one call of the kernel, and one packet."""

    channel: Any

    def write(self, data: bytes) -> None:
        """Send *data*, the next part of the body."""
        if self.wrote_header:
            super().write(data)
            return
        connection = self.channel
        parts: list[bytes] = []
        self.channel = types.SimpleNamespace(server=connection.server, write_soon=parts.append)
        try:
            super().write(data)
        finally:
            self.channel = connection
        connection.write_soon(b"".join(parts))


class _Channel(channel.HTTPChannel):
    """A connection that knows since when it waits for its client."""

    task_class = _Task
    server: "_Server"
    _reading_since = 0.0
    _sending_since = 0.0

    def parser_class(self, settings: adjustments.Adjustments) -> parser.HTTPRequestParser:
        """Begin to read a request."""
        self._reading_since = self.server.clock.monotonic()
        return parser.HTTPRequestParser(settings)

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self._sending_since = self.server.clock.monotonic()
        written: int = super().write_soon(data)
        return written

    def service(self) -> None:
        if self.server.stopping:
            self.end_soon()
        super().service()

    def end_soon(self) -> None:
        """Close the connection when the requests that were received have been answered, at once if there are none."""
        if not self.requests and not self.total_outbufs_len:
            self.will_close = True
        for request in self.requests:
            request.headers["CONNECTION"] = "close"

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Return whether the client takes longer than *seconds* to send a request or to read an answer."""
        reading = self.request is not None and now - self._reading_since > seconds
        return reading or (self.total_outbufs_len > 0 and now - self._sending_since > seconds)


class _Server(waitress_server.TcpWSGIServer):
    """Gives each client a limited time, and can end without losing requests."""

    def __init__(
        self, *args: Any, clock: Clock, seconds: float, error_task: type[task.ErrorTask], **kwargs: Any
    ) -> None:
        self.clock = clock
        self.stopping = False
        self._seconds = seconds
        self.channel_class = type("_Channel", (_Channel,), {"error_task_class": error_task})
        super().__init__(*args, **kwargs)

    def maintenance(self, now: float) -> None:
        """Close connections that are idle, or whose clients are too slow. waitress calls this every second."""
        super().maintenance(now)
        for connection in self.active_channels.values():
            if connection.is_overdue(self.clock.monotonic(), self._seconds):
                connection.will_close = True

    def stop(self, seconds: float) -> None:
        """Refuse new connections and wait for requests in flight, at most *seconds* seconds. To be called by any thread."""
        self.trigger.pull_trigger(self._refuse)
        end = self.clock.monotonic() + seconds
        while (self.accepting or self.active_channels) and self.clock.monotonic() < end:
            self.clock.sleep(_POLL)
        self.task_dispatcher.shutdown(timeout=1)
        # The loop ends when it has no connection.
        self.trigger.pull_trigger(lambda: wasyncore.close_all(self._map))

    def _refuse(self) -> None:
        self.stopping = True
        wasyncore.dispatcher.close(self)
        for connection in list(self.active_channels.values()):
            connection.end_soon()


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that is bound to an address.

    :param port: 0 for one that the kernel chooses
    :param shared: whether several processes may listen on the port
    :raises OSError: the address is not available
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


class WebServer:
    """Serves a WSGI application on a socket, in threads of its own.

    :param name: of the thread that serves the connections
    :param threads: number of requests that are answered concurrently
    :param connections: open connections, of which each has a file descriptor and buffers. Others wait in the kernel
    :param client_seconds: time that a client may take to send a request, to read an answer, and between two requests
    :param error_task: answers requests that the server itself refuses
    :param settings: other settings of waitress
    """

    def __init__(
        self,
        application: Application,
        listening: socket.socket,
        *,
        name: str,
        threads: int,
        connections: int,
        client_seconds: float,
        clock: Clock | None = None,
        error_task: type[task.ErrorTask] = task.ErrorTask,
        **settings: Any,
    ) -> None:
        adjusted = adjustments.Adjustments(
            sockets=[listening],
            threads=threads,
            ident=_SERVER_NAME,
            backlog=_BACKLOG,
            connection_limit=connections,
            channel_timeout=int(client_seconds),
            cleanup_interval=1,
            log_socket_errors=False,
            asyncore_use_poll=True,
            **settings,
        )
        self._server = _Server(
            application,
            _sock=listening,
            adj=adjusted,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            bind_socket=False,
            clock=clock or SystemClock(),
            seconds=client_seconds,
            error_task=error_task,
        )
        self._thread = threading.Thread(target=self._server.run, name=name, daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which it listens. Port 0 is replaced by the port in use."""
        return self._server.effective_host, int(self._server.effective_port)

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Refuse new connections and wait for requests in flight, at most *seconds* seconds."""
        self._server.stop(seconds)
        self._thread.join(_END_SECONDS)
