"""Cheroot, told to keep connections, to wait for slow clients and to let the application cut a connection."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from cheroot import wsgi

from karbor_like.sandbox import web

LOG = logging.getLogger(__name__)
THREADS = 32
IDLE = 300
"""Seconds without a byte after which a connection is given up."""


class Gateway(wsgi.Gateway_10):
    """Adds the means to hang up to the WSGI environment, and is known to the server while it works."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # cheroot's annotations say None
        environ = super().get_environ()
        environ[web.HANGUP] = self.hang_up
        return environ

    def respond(self) -> None:
        busy: set[Gateway] = self.req.server.busy
        busy.add(self)
        try:
            super().respond()
        finally:
            busy.discard(self)

    def hang_up(self) -> None:
        """Close the connection in both directions, whoever waits on it."""
        with contextlib.suppress(OSError):  # the client was faster
            self.req.conn.socket.shutdown(socket.SHUT_RDWR)


class _Cheroot(wsgi.Server):
    """The settings that cheroot takes as attributes."""

    keep_alive_conn_limit = None  # type: ignore[assignment] # as many as there are
    expiration_interval = 0.05  # how long stop() may take to be noticed, in seconds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gateway = Gateway
        self.busy: set[Gateway] = set()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(level, msg, exc_info=traceback)


class Server:
    """Serves an application on a loopback address from a thread of its own.

    :param port: 0 takes any free one
    """

    def __init__(self, application: Callable[..., Any], host: str, port: int) -> None:
        self._server = _Cheroot(
            (host, port), application, numthreads=THREADS, request_queue_size=128, timeout=IDLE, shutdown_timeout=1
        )
        self._thread = threading.Thread(target=self._server.serve, name="sandbox-server", daemon=True)

    def start(self) -> str:
        """Bind and serve. Returns the URL without a slash at its end. Raises OSError where the port is taken."""
        self._server.prepare()
        self._thread.start()
        host, port = self._server.bind_addr[:2]
        return f"http://{host}:{port}"

    def stop(self) -> None:
        """Stop listening and close every connection, those in use as well."""
        for gateway in list(self._server.busy):
            gateway.hang_up()
        self._server.stop()
        self._thread.join()
