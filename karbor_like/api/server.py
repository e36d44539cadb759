"""The HTTP server of the API, in a worker process or in the all-in-one process."""

import logging
from typing import Any, Final

from oslo_config import cfg
from oslo_service import opts as service_options
from waitress import task

from karbor_like import exception, service, webserver
from karbor_like.api import app, errors, health
from karbor_like.db import migration
from karbor_like.metrics.exporter import Exporter
from karbor_like.rpc.operationengine import OperationEngineClient
from karbor_like.rpc.protection import ProtectionClient
from karbor_like.triggers.contract import Limits

LOG = logging.getLogger(__name__)

#: Seconds between the end of the server's grace period and the forced end of the process.
_MARGIN: Final = 5
#: Open connections of a process, of which each has a file descriptor and buffers. Others wait in the kernel.
_MAX_CONNECTIONS: Final = 500
#: Bytes of the request line and headers. Tokens, of some kilobytes, are the longest values there.
_MAX_HEADER: Final = 256 * 1024


class _ErrorTask(task.ErrorTask):
    """Answers requests that the server itself refuses, in the shape of all errors."""

    def execute(self) -> None:
        answer = errors.answer_status(self.request.error.code)
        self.status = answer.status
        self.response_headers.extend(answer.headers.items())
        self.set_close_on_finish()
        self.content_length = len(answer.body)
        self.write(answer.body)


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
        self._server: webserver.WebServer | None = None
        self._deps: Any = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port on which it listens, after :meth:`start`. Port 0 is replaced by the port in use."""
        if self._server is None:
            raise exception.Unavailable("the API is not started")
        return self._server.address

    def check(self) -> None:
        """Check ``[upgrade_levels]`` and the schema of the database. Raises ConfigurationError, or DBError."""
        ProtectionClient.called(self._conf)
        OperationEngineClient.called(self._conf)
        migration.check_of(self._conf)

    def start(self) -> None:
        """Bind the address and serve requests. Raises ConfigurationError if the address is not available."""
        options = self._conf.api
        self._deps = app.create_context(self._conf)
        application = app.build(self._deps, self._authenticate)
        self.exporter = Exporter(
            self._conf,
            "api_port",
            self.number,
            self._deps.database,
            health.needs(self._deps),
            self._deps.clock,
        )
        try:
            # A port that the kernel chooses is not shared.
            listening = webserver.listen(options.host, options.port, shared=options.port != 0)
        except OSError as error:
            raise exception.ConfigurationError(
                f"[api] host and port: cannot listen on {options.host}:{options.port}: {error}"
            ) from None
        self._server = webserver.WebServer(
            application,
            listening,
            name="api",
            threads=options.threads,
            connections=_MAX_CONNECTIONS,
            client_seconds=options.client_timeout,
            error_task=_ErrorTask,
            # Longer requests are refused before they are read.
            max_request_header_size=_MAX_HEADER,
            max_request_body_size=self._conf.oslo_middleware.max_request_body_size + 1,
            # By default it removes the headers of proxies; that is decided by [oslo_middleware].
            clear_untrusted_proxy_headers=not self._conf.oslo_middleware.enable_proxy_headers_parsing,
        )
        self._server.start()
        self.exporter.start()
        LOG.info("listening on %s:%s", *self.address)

    def stop(self, graceful: bool = False) -> None:
        """Refuse new connections and wait for requests in flight, at most ``graceful_shutdown_timeout`` seconds."""
        if self._server is not None:
            self._server.stop(max(1, self._conf.graceful_shutdown_timeout - _MARGIN))
            self.exporter.stop()
            self._deps.protection.close()
            self._deps.database.dispose()
            self._server = None
        super().stop(graceful)
