"""The HTTP server of the API: waitress, in a worker process or in the all-in-one process.

One thread reads requests and sends answers, for all connections. The threads that run the application only get complete
requests, so that slow clients and idle connections occupy none of them.
"""

import logging
import socket
import threading
import types
from typing import Any, Final

from oslo_config import cfg
from oslo_service import opts as service_options
from waitress import adjustments, channel, parser, task, wasyncore
from waitress import server as waitress_server

from karbor_like import exception, service
from karbor_like.api import app, errors
from karbor_like.clock import Clock, SystemClock
from karbor_like.db import migration
from karbor_like.triggers.contract import Limits

LOG = logging.getLogger(__name__)

_SERVER_NAME: Final = "karbor_like"
#: Seconds between the end of the server's grace period and the forced end of the process.
_MARGIN: Final = 5
#: Connections that the kernel queues while the process accepts none.
_BACKLOG: Final = 128
#: Open connections of a process, of which each has a file descriptor and buffers. Others wait in the kernel.
_MAX_CONNECTIONS: Final = 500
#: Bytes of the request line and headers. Tokens, of some kilobytes, are the longest values there.
_MAX_HEADER: Final = 256 * 1024
#: Seconds between two checks whether the last requests have been answered.
_POLL: Final = 0.05


class _ErrorTask(task.ErrorTask):
    """Answers requests that the server itself refuses, in the shape of all errors."""

    def execute(self) -> None:
        answer = errors.answer_status(self.request.error.code)
        self.status = answer.status
        self.response_headers.extend(answer.headers.items())
        self.set_close_on_finish()
        self.content_length = len(answer.body)
        self.write(answer.body)


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
    error_task_class = _ErrorTask
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

    channel_class = _Channel

    def __init__(self, *args: Any, clock: Clock, seconds: float, **kwargs: Any) -> None:
        self.clock = clock
        self.stopping = False
        self._seconds = seconds
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


class ApiService(service.Service):
    """The REST API in this process. Several processes and several instances can share one port.

    :param authenticate: as in :func:`karbor_like.api.app.build`

    Raises ConfigurationError if options contradict each other.
    """

    def __init__(self, conf: cfg.ConfigOpts, authenticate: app.Filter = app.keystone) -> None:
        super().__init__()
        Limits.of(conf)
        service_options.register_service_opts(conf)
        self._conf = conf
        self._authenticate = authenticate
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._deps: Any = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which it listens, after :meth:`start`. Port 0 is replaced by the port in use."""
        if self._server is None:
            raise exception.Unavailable("the API is not started")
        return self._server.effective_host, int(self._server.effective_port)

    def check(self) -> None:
        """Check that the database has the schema of this code. Raises ConfigurationError, or DBError."""
        migration.check_of(self._conf)

    def start(self) -> None:
        """Bind the address and serve requests. Raises ConfigurationError if the address is not available."""
        options = self._conf.api
        self._deps = app.create_context(self._conf)
        application = app.build(self._deps, self._authenticate)
        listening = self._listen()
        settings = adjustments.Adjustments(
            sockets=[listening],
            threads=options.threads,
            ident=_SERVER_NAME,
            backlog=_BACKLOG,
            connection_limit=_MAX_CONNECTIONS,
            channel_timeout=int(options.client_timeout),
            cleanup_interval=1,
            # Longer requests are refused before they are read.
            max_request_header_size=_MAX_HEADER,
            max_request_body_size=self._conf.oslo_middleware.max_request_body_size + 1,
            # By default it removes the headers of proxies; that is decided by [oslo_middleware].
            clear_untrusted_proxy_headers=not self._conf.oslo_middleware.enable_proxy_headers_parsing,
            log_socket_errors=False,
            asyncore_use_poll=True,
        )
        self._server = _Server(
            application,
            _sock=listening,
            adj=settings,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            bind_socket=False,
            clock=SystemClock(),
            seconds=options.client_timeout,
        )
        self._thread = threading.Thread(target=self._server.run, name="api", daemon=True)
        self._thread.start()
        LOG.info("listening on %s:%s", *self.address)

    def _listen(self) -> socket.socket:
        options = self._conf.api
        try:
            found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            listening = socket.socket(family, kind, protocol)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if options.port != 0:
                # A port that the kernel chooses is not shared.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(address)
        except OSError as error:
            raise exception.ConfigurationError(
                f"[api] host and port: cannot listen on {options.host}:{options.port}: {error}"
            ) from None
        return listening

    def stop(self, graceful: bool = False) -> None:
        """Refuse new connections and wait for requests in flight, at most ``graceful_shutdown_timeout`` seconds."""
        if self._server is not None and self._thread is not None:
            self._server.stop(max(1, self._conf.graceful_shutdown_timeout - _MARGIN))
            self._thread.join(_MARGIN)
            self._deps.protection.close()
            self._deps.database.dispose()
            self._server = None
        super().stop(graceful)
