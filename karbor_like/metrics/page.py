"""The answer to ``/metrics``, on a port of its own (:mod:`.exporter`) or as a route of the API."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, exposition, multiprocess
from prometheus_client.registry import Collector

from karbor_like.metrics import families

METRICS_PATH: Final = "/metrics"

#: The variable by which several processes share a directory for what they count (prometheus_client).
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"

StartResponse = Callable[..., Any]


class Metrics(CollectorRegistry):
    """A WSGI application that answers with all metrics, and the registry that collects them.

    Of several processes that share a directory, each answers with what all of them have counted.

    :param figures: what is read from the database
    """

    def __init__(self, figures: Collector) -> None:
        super().__init__()
        self._sources: list[Any] = [figures]
        if _SHARED in os.environ:
            shared = CollectorRegistry()
            multiprocess.MultiProcessCollector(shared)
            self._sources.append(shared)
        else:
            self._sources += [families.REGISTRY, ProcessCollector(registry=CollectorRegistry())]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        for source in self._sources:
            yield from source.collect()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return answer(
            environ, start_response, "200 OK", exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest(self)
        )


def answer(
    environ: dict[str, Any], start_response: StartResponse, status: str, kind: str, body: bytes
) -> Iterable[bytes]:
    """Answer a request with *body*, of the media type *kind*."""
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
