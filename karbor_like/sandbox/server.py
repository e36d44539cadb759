"""Cheroot, configured to keep connections, to wait for slow clients, and to let the application close a connection."""

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
"""Seconds without data after which a connection is closed."""


class Gateway(wsgi.Gateway_10):
    """Adds the function that closes the connection to the WSGI environment, and registers itself while it is busy."""

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
        """Close the connection in both directions, even if a thread waits on it."""
        with contextlib.suppress(OSError):  # the client has closed it
            self.req.conn.socket.shutdown(socket.SHUT_RDWR)


class _Cheroot(wsgi.Server):
    """A server with the settings that cheroot takes as attributes."""

    keep_alive_conn_limit = None  # type: ignore[assignment] # unlimited
    expiration_interval = 0.05  # seconds until stop() is noticed

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gateway = Gateway
        self.busy: set[Gateway] = set()

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(level, msg, exc_info=traceback)


class Server:
    """Serves an application from its own thread.

    :param port: 0 selects any free port
    """

    def __init__(self, application: Callable[..., Any], host: str, port: int) -> None:
        self._server = _Cheroot(
            (host, port), application, numthreads=THREADS, request_queue_size=128, timeout=IDLE, shutdown_timeout=1
        )
        self._thread = threading.Thread(target=self._server.serve, name="sandbox-server", daemon=True)

    def start(self) -> str:
        """Bind and start to serve.

        :returns: the URL without a trailing slash
        :raises OSError: the port is in use
        """
        self._server.prepare()
        self._thread.start()
        host, port = self._server.bind_addr[:2]
        return f"http://{host}:{port}"

    def stop(self) -> None:
        """Stop listening and close all connections, including those in use."""
        for gateway in list(self._server.busy):
            gateway.hang_up()
        self._server.stop()
        self._thread.join()
