"""The alert rules and the dashboard in etc/ use metrics and labels that exist, and the rules fire when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from karbor_like.metrics import families
from tests.cloud import packages
from tests.cloud.errors import CannotRun
from tests.fixtures.services import skipping_where_allowed
from tests.structure.source import ROOT

RULES = ROOT / "etc" / "prometheus" / "karbor_like.rules.yml"
TESTS = sorted(RULES.parent.glob("*.tests.yml"))
DASHBOARD = ROOT / "etc" / "grafana" / "karbor_like.json"
GUIDE = ROOT / "doc" / "source" / "admin" / "monitoring.rst"

#: Names of samples -> labels.
SAMPLES = {
    f"{metric.name}{suffix}": {*metric.labels, *({"le"} if suffix == "_bucket" else ())}
    for metric in families.DECLARED
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
}


def rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_uses_metrics_and_labels_that_exist(expression: str) -> None:
    used = re.findall(r"(karbor_like_\w+)(?:{([^}]*)})?", expression)
    assert used
    known: set[str] = set()
    for name, matchers in used:
        assert name in SAMPLES
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= SAMPLES[name]
        known |= SAMPLES[name]
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= known


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    )
    assert [metric.name for metric in families.DECLARED if not re.search(rf"{metric.name}(_bucket)?\b", shown)] == []


def test_the_guide_names_every_alert() -> None:
    assert set(re.findall(r"``(KarborLike\w+)``", GUIDE.read_text())) == {rule["alert"] for rule in rules()}


@pytest.fixture
def promtool(tmp_path: Path) -> str:
    with skipping_where_allowed():
        if shutil.which("promtool") is None:
            packages.install_debian(packages.PROMETHEUS, tmp_path / "apt.log")
        found = shutil.which("promtool")
        if found is None:
            raise CannotRun("promtool: not installed; run `python -m tests.cloud install servers` as root")
    return found


def test_the_rules_pass_their_own_tests(promtool: str) -> None:
    for arguments in (["check", "rules", str(RULES)], ["test", "rules", *map(str, TESTS)]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
