"""Serves ``/metrics`` and ``/healthz`` on a port of its own.

No token is needed, so nothing here may be secret. A client that never reads its answer, or sends its request slowly, has a
limited time, and the number of connections is limited.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from oslo_config import cfg

from karbor_like import webserver
from karbor_like.clock import Clock
from karbor_like.db.session import Database
from karbor_like.metrics.figures import Figures
from karbor_like.metrics.health import Checks, Health
from karbor_like.metrics.page import METRICS_PATH, Metrics, StartResponse, answer

LOG = logging.getLogger(__name__)

HEALTH_PATH: Final = "/healthz"

_THREADS: Final = 4
_MAX_CONNECTIONS: Final = 64
#: Bytes. A request for a page is much shorter.
_MAX_REQUEST: Final = 16 * 1024
#: Seconds that a client may take, and that the end of the server may take.
_CLIENT_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 1.0
_TEXT: Final = "text/plain; charset=utf-8"


class Exporter:
    """The port of one process, if one is configured.

    :param option: of ``[metrics]``, with the port
    :param number: of the process among those of the service on this host; added to the port
    :param checks: what this process needs to work
    """

    def __init__(
        self, conf: cfg.ConfigOpts, option: str, number: int, database: Database, checks: Checks, clock: Clock
    ) -> None:
        self._options = conf.metrics
        self._port: int | None = conf.metrics[option]
        self._option = option
        self._number = number
        self._metrics = Metrics(Figures(conf, database, clock))
        self._health = Health(checks, conf.metrics.timeout, clock)
        self._server: webserver.WebServer | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port on which it listens, or None."""
        return self._server.address if self._server else None

    def start(self) -> None:
        """Start to serve. That the port is not available is logged: it must not stop what the process is for."""
        if self._port is None:
            return
        port = self._port + self._number if self._port else 0
        try:
            listening = webserver.listen(self._options.host, port)
        except (OSError, OverflowError) as error:
            LOG.error(
                "[metrics] host and %s: cannot listen on %s:%s: %s; this process has no /metrics and no /healthz",
                self._option,
                self._options.host,
                port,
                error,
            )
            return
        self._server = webserver.WebServer(
            self._application,
            listening,
            name="metrics",
            threads=_THREADS,
            connections=_MAX_CONNECTIONS,
            client_seconds=_CLIENT_SECONDS,
            max_request_header_size=_MAX_REQUEST,
            max_request_body_size=_MAX_REQUEST,
        )
        self._server.start()
        LOG.info("metrics and health are on %s:%s", *self._server.address)

    def stop(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.stop(_STOP_SECONDS)
            self._server = None

    def _application(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return answer(environ, start_response, "405 Method Not Allowed", _TEXT, b"only GET and HEAD\n")
        if path == METRICS_PATH:
            return self._metrics(environ, start_response)
        if path == HEALTH_PATH:
            findings = self._health.findings()
            status = "200 OK" if all(finding.good for finding in findings) else "503 Service Unavailable"
            text = "".join(f"{finding.line}\n" for finding in findings)
            return answer(environ, start_response, status, _TEXT, text.encode())
        return answer(
            environ, start_response, "404 Not Found", _TEXT, f"only {METRICS_PATH} and {HEALTH_PATH}\n".encode()
        )
