"""The HTTP server of the API: threads of cheroot, in a worker process or in the all-in-one process."""

import logging
import threading
from typing import Any

from cheroot import server as cheroot_server
from cheroot import wsgi
from oslo_config import cfg
from oslo_service import opts as service_options

from karbor_like import exception, service
from karbor_like.api import app
from karbor_like.db import migration
from karbor_like.triggers.contract import Limits

LOG = logging.getLogger(__name__)

_SERVER_NAME = "karbor_like"
#: Seconds between the end of the server's grace period and the forced end of the process.
_MARGIN = 5
#: Connections that the kernel queues while every thread is busy.
_BACKLOG = 128
#: Bytes of the request line and headers. Tokens, of some kilobytes, are the longest values there.
_MAX_HEADER = 256 * 1024
#: Bytes of a body that are read and discarded, so that the answer has the shape of the service's errors.
_MAX_UNWANTED = 1024 * 1024


class _Server(wsgi.Server):
    """Writes errors of the server to the log of the service."""

    def error_log(self, msg: str = "", level: int = logging.ERROR, traceback: bool = False) -> None:
        LOG.log(level, "%s", msg, exc_info=traceback)


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
        self._server: cheroot_server.HTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._deps: Any = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which it listens, after :meth:`start`. Port 0 is replaced by the port in use."""
        if self._server is None:
            raise exception.Unavailable("the API is not started")
        return self._server.bind_addr[:2]

    def check(self) -> None:
        """Check that the database has the schema of this code. Raises ConfigurationError, or DBError."""
        migration.check_of(self._conf)

    def start(self) -> None:
        """Bind the address and serve requests. Raises ConfigurationError if the address is not available."""
        options = self._conf.api
        self._deps = app.create_context(self._conf)
        application = app.build(self._deps, self._authenticate)
        self._server = _Server(
            (options.host, options.port),
            application,
            numthreads=options.threads,
            server_name=_SERVER_NAME,
            request_queue_size=_BACKLOG,
            shutdown_timeout=max(1, self._conf.graceful_shutdown_timeout - _MARGIN),
            # A port that the kernel chooses is not shared.
            reuse_port=options.port != 0,
        )
        # Longer requests are refused before they are read. The defaults of the server are unlimited.
        self._server.max_request_header_size = _MAX_HEADER
        self._server.max_request_body_size = max(_MAX_UNWANTED, self._conf.oslo_middleware.max_request_body_size)
        try:
            self._server.prepare()
        except OSError as error:
            raise exception.ConfigurationError(
                f"[api] host and port: cannot listen on {options.host}:{options.port}: {error}"
            ) from None
        self._thread = threading.Thread(target=self._server.serve, name="api", daemon=True)
        self._thread.start()
        LOG.info("listening on %s:%s", *self.address)

    def stop(self, graceful: bool = False) -> None:
        """Refuse new connections and wait for requests in flight, at most ``graceful_shutdown_timeout`` seconds."""
        if self._server is not None:
            self._server.stop()
            self._deps.protection.close()
            self._deps.database.dispose()
            self._server = None
        super().stop(graceful)
