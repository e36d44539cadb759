"""The names and labels of all metrics, and the table that operators read."""

import re

import pytest

from karbor_like import exception
from karbor_like.metrics import families
from tests.structure.source import ROOT

PAGE = ROOT / "doc" / "source" / "admin" / "monitoring.rst"
#: Labels whose values come from the project itself, and from few providers.
BOUNDED = {
    *("kind", "state", "error_type", "measure", "method", "route", "status", "side"),
    *("binary", "queue", "provider_id", "scheduled"),
}


def test_names_follow_the_conventions_of_prometheus():
    names = [metric.name for metric in families.DECLARED]
    assert len(names) == len(set(names))
    for metric in families.DECLARED:
        assert metric.name.startswith("karbor_like_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        for unit in ("bytes", "seconds"):
            if unit in metric.name.split("_"):
                assert metric.name.removesuffix("_total").endswith(unit)


def test_only_one_metric_has_labels_of_tenants():
    of_tenants = {
        metric.name: set(metric.labels) - BOUNDED for metric in families.DECLARED if set(metric.labels) - BOUNDED
    }
    assert of_tenants == {"karbor_like_plan_checkpoint_age_seconds": {"project_id", "plan_id"}}


def test_the_documentation_has_exactly_these_metrics():
    rows = re.findall(r"\* - ``(karbor_like_\w+)``\n +- (\w+)\n +- (.*)\n +- (.*(?:\n {7}\S.*)*)", PAGE.read_text())
    documented = {
        name: (kind, tuple(re.findall(r"``(\w+)``", labels)), " ".join(text.split()))
        for name, kind, labels, text in rows
    }
    assert documented == {metric.name: (metric.kind, metric.labels, metric.help) for metric in families.DECLARED}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["karbor_like.exception.Cancelled", "karbor_like.exception.KarborLikeError"], "operation.cancelled"),
        (["karbor_like.bank.errors.BankFull", "karbor_like.exception.BankUnavailable"], "bank.unavailable"),
        (["karbor_like.exception.Removed", "karbor_like.exception.Unavailable"], "service.unavailable"),
        (["karbor_like.bank.errors.Corrupted", "karbor_like.exception.Damaged"], "checkpoint.damaged"),
        (["karbor_like.exception.CheckpointDamaged", "karbor_like.exception.ResourceFailed"], "checkpoint.damaged"),
        (["karbor_like.exception.annotations", "ValueError", "Exception"], "server.error"),
        ([], "server.error"),
    ],
)
def test_the_type_of_an_error_that_is_known_by_name(names, expected):
    assert families.error_type(names) == expected


def test_methods_that_clients_invent_are_counted_together():
    def count(method: str) -> float:
        labels = {"method": method, "route": "none", "status": "404"}
        return families.REGISTRY.get_sample_value("karbor_like_api_requests_total", labels) or 0

    before = count("other")
    for method in ("FORGED", "get", "\x00"):
        families.count_request(method, "none", "404", 0.1)
    assert count("other") == before + 3
    assert count("FORGED") == 0


def test_an_error_from_outside_of_the_tree_is_an_error_of_the_server():
    def count(kind: str) -> float:
        labels = {"side": "client", "method": "ping", "error_type": kind}
        return families.REGISTRY.get_sample_value("karbor_like_rpc_errors_total", labels) or 0

    before = {kind: count(kind) for kind in ("server.error", "bus.unavailable")}
    families.count_rpc_error("client", "ping", ValueError())
    families.count_rpc_error("client", "ping", exception.BusUnavailable(""))
    assert {kind: count(kind) - before[kind] for kind in before} == {"server.error": 1, "bus.unavailable": 1}
