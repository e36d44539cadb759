"""All metrics: the one place that declares them. ``doc/source/admin/monitoring.rst`` explains them to operators.

Values of labels never come from tenants, except the ids of projects and plans where the metric says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

from karbor_like import exception

#: What this process counts.
REGISTRY: Final = CollectorRegistry()

#: Seconds. Operations last from moments to days.
_LONG: Final = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
#: Seconds. A request waits for ``[api] request_timeout`` at most.
_SHORT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)

#: The methods of the API. Others are counted together: a client can send any text.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"


@dataclass(frozen=True)
class Declared:
    """A metric.

    :param name: as Prometheus shows it
    :param kind: counter, gauge or histogram
    """

    name: str
    kind: str
    labels: Sequence[str]
    help: str


DECLARED: Final[list[Declared]] = []


def _declare(name: str, kind: str, labels: Sequence[str], help_text: str) -> None:
    DECLARED.append(Declared(name, kind, tuple(labels), help_text))


def _counter(name: str, help_text: str, *labels: str) -> Counter:
    _declare(name, "counter", labels, help_text)
    return Counter(name, help_text, labels, registry=REGISTRY)


def _gauge(name: str, help_text: str, *labels: str) -> Gauge:
    _declare(name, "gauge", labels, help_text)
    # Of processes that share a directory, the sum: see exporter.
    return Gauge(name, help_text, labels, registry=REGISTRY, multiprocess_mode="livesum")


def _histogram(name: str, help_text: str, buckets: Sequence[float], *labels: str) -> Histogram:
    _declare(name, "histogram", labels, help_text)
    return Histogram(name, help_text, labels, registry=REGISTRY, buckets=buckets)


class Figure:
    """A gauge that is read from somewhere when it is asked for."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        _declare(name, "gauge", labels, help_text)
        self._name = name
        self._help = help_text
        self._labels = labels

    def family(self, values: Iterable[tuple[Sequence[str], float]]) -> GaugeMetricFamily:
        """Return the metric with *values*: the values of the labels, and the figure."""
        found = GaugeMetricFamily(self._name, self._help, labels=self._labels)
        for labels, value in values:
            found.add_metric([str(label) for label in labels], value)
        return found


# What this process counts

OPERATIONS = _counter(
    "karbor_like_operations_total",
    "Operations that this process ended. state is succeeded, failed or cancelled; error_type is the type of the first error"
    " as in answers of the API, and empty without an error.",
    "kind",
    "state",
    "error_type",
)
OPERATION_SECONDS = _histogram(
    "karbor_like_operation_duration_seconds",
    "Time from the first start of an operation to its end.",
    _LONG,
    "kind",
)
OPERATION_BYTES = _counter(
    "karbor_like_operation_bytes_total",
    "Bytes of the operations that this process ended. measure is logical (read from the cloud), new (not in the bank before)"
    " or stored (added to the bank, after compression).",
    "kind",
    "measure",
)
RUNNING = _gauge("karbor_like_operations_running", "Operations that this process runs now.")
CLAIMS = _counter("karbor_like_operation_claims_total", "Operations that this process claimed, also repeatedly.")
LEASES_LOST = _counter(
    "karbor_like_operation_leases_lost_total",
    "Operations that this process stopped because it could not renew their lease, or another process had taken them over.",
)
SCHEDULED_RUNS = _counter(
    "karbor_like_scheduled_runs_total",
    "Runs of scheduled operations that this process ended. state is succeeded, failed, missed or skipped.",
    "state",
)
API_REQUESTS = _counter(
    "karbor_like_api_requests_total",
    "Requests that this process answered. route is the path with the names of its variables, or none.",
    "method",
    "route",
    "status",
)
API_SECONDS = _histogram(
    "karbor_like_api_request_duration_seconds",
    "Time from the start of a request to the beginning of its answer.",
    _SHORT,
    "method",
    "route",
)
RPC_ERRORS = _counter(
    "karbor_like_rpc_errors_total",
    "Calls over the message bus that failed. side is client or server; error_type is as in answers of the API.",
    "side",
    "method",
    "error_type",
)

# What the database knows

UP = Figure(
    "karbor_like_up",
    "1 if the figures from the database are in this answer, 0 if the database did not answer in time.",
)
SERVICES = Figure(
    "karbor_like_services",
    "Services by the state of their heartbeats: up, down, or hung if one of their threads makes no progress.",
    "binary",
    "state",
)
QUEUE = Figure(
    "karbor_like_queue_entries",
    "Entries of a queue. queue is operations or scheduled_runs; state is waiting or running.",
    "queue",
    "state",
)
QUEUE_AGE = Figure(
    "karbor_like_queue_oldest_seconds",
    "Time for which the oldest entry of a queue has been waiting; 0 if none waits.",
    "queue",
)
LEASES = Figure(
    "karbor_like_operation_leases",
    "Leases of operations that run. state is held, or expired if no process has taken the operation over yet.",
    "state",
)
UNCLEAN = Figure(
    "karbor_like_operations_unclean",
    "Operations that have ended and of which something may remain in a cloud; its deletion is attempted again.",
)
SCHEDULER_LAG = Figure(
    "karbor_like_scheduler_lag_seconds",
    "Time since which the trigger that is due for the longest time has not been fired; 0 if none is due.",
)
CHECKPOINTS = Figure(
    "karbor_like_checkpoints", "Checkpoints that are not deleted, by provider and status.", "provider_id", "status"
)
BANK_BYTES = Figure(
    "karbor_like_bank_bytes",
    "Sums over the available checkpoints of a provider. measure is logical (what they protect), new or stored (what each of"
    " them added to the bank, before and after compression). The bank may hold more or less than that.",
    "provider_id",
    "measure",
)
BANK_STORED = Figure(
    "karbor_like_bank_stored_bytes",
    "Bytes of the packs in the bank of a provider after its last garbage collection, also of those that will be deleted.",
    "provider_id",
)
BANK_STORED_AGE = Figure(
    "karbor_like_bank_stored_age_seconds",
    "Time since karbor_like_bank_stored_bytes was counted.",
    "provider_id",
)
BANKS = Figure(
    "karbor_like_bank_reachable",
    "1 if all protection services that are up reach the bank of the provider or have not tried yet, else 0.",
    "provider_id",
)
COLLECTION_AGE = Figure(
    "karbor_like_collection_age_seconds",
    "Time since the last garbage collection of a provider's bank that succeeded.",
    "provider_id",
)
COLLECTED = Figure(
    "karbor_like_bank_collected",
    "1 if a garbage collection of the bank of the provider has ever succeeded, 0 if services have only tried.",
    "provider_id",
)
PLANS = Figure(
    "karbor_like_plans", "Plans. scheduled is true if an enabled scheduled operation protects them.", "scheduled"
)
RPO_VIOLATED = Figure(
    "karbor_like_plans_rpo_violated", "Plans whose last good checkpoint is too old for their schedules."
)
PLAN_AGE = Figure(
    "karbor_like_plan_checkpoint_age_seconds",
    "Time since the newest available checkpoint of a plan with an enabled scheduled operation was created, or since the"
    " operation was, if there is none. Only the oldest ones: [metrics] plans limits their number.",
    "project_id",
    "plan_id",
)


def error_type(names: Iterable[str]) -> str:
    """Return the type of an error of which the classes are known by name.

    :param names: of the class and its bases, most specific first, with their modules
    """
    for name in names:
        module, _, attribute = name.rpartition(".")
        if module == exception.__name__:
            kind = getattr(exception, attribute, None)
            if isinstance(kind, type) and issubclass(kind, exception.KarborLikeError):
                return kind.type
    return exception.KarborLikeError.type


def count_request(method: str, route: str, status: str, seconds: float) -> None:
    """Count a request to the API."""
    known = method if method in _METHODS else "other"
    API_REQUESTS.labels(known, route, status).inc()
    API_SECONDS.labels(known, route).observe(seconds)


def count_rpc_error(side: str, method: str, error: BaseException) -> None:
    """Count a call that failed."""
    kind = error.type if isinstance(error, exception.KarborLikeError) else exception.KarborLikeError.type
    RPC_ERRORS.labels(side, method, kind).inc()


def count_operation(kind: str, state: str, error: str, seconds: float | None, sizes: Mapping[str, int]) -> None:
    """Count an operation that has ended.

    :param error: the type of its error, or empty
    :param seconds: its duration, if it was started
    :param sizes: bytes by measure
    """
    OPERATIONS.labels(kind, state, error).inc()
    if seconds is not None:
        OPERATION_SECONDS.labels(kind).observe(seconds)
    for measure, number in sizes.items():
        OPERATION_BYTES.labels(kind, measure).inc(number)
