"""Print a summary of the reports of tox and pytest: ``python tools/summary.py DIRECTORY``.

The directory has a JUnit file of each environment that ran tests, and ``tox.json``, the report of tox. The exit code is 1 if
a test failed.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SLOWEST = 30
#: Packages of tests that can run in several environments: on the sandbox and on real OpenStack.
_ON_A_CLOUD = ("tests.scenario", "tests.functional.conformance")


@dataclass(frozen=True)
class Case:
    """A test and its duration in seconds.

    :param failure: the first line of the message of its failure; None if it did not fail
    """

    environment: str
    name: str
    seconds: float
    failure: str | None


@dataclass
class Environment:
    """A tox environment.

    :param seconds: its duration, including the installation if tox reports it
    """

    name: str
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Properties that tests recorded in the report."""

    @property
    def failed(self) -> int:
        return self.counts["failures"] + self.counts["errors"]

    @property
    def skipped(self) -> int:
        return self.counts["skipped"]

    @property
    def passed(self) -> int:
        return self.counts["tests"] - self.failed - self.skipped

    def add_junit(self, path: Path) -> None:
        """Add the tests of a JUnit file."""
        root = ElementTree.parse(path).getroot()  # noqa: S314 (our own files)
        for suite in root.iter("testsuite"):
            self.counts.update({name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")})
            self.seconds += float(suite.get("time", 0))
        for case in root.iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            self.cases.append(Case(self.name, name, float(case.get("time", 0)), _failure(case)))
        self.notes += [f"{item.get('name')}: {item.get('value')}" for item in root.iter("property")]


def _failure(case: ElementTree.Element) -> str | None:
    messages = [found.get("message", "") for kind in ("failure", "error") for found in case.iter(kind)]
    return messages[0].partition("\n")[0][:200] if messages else None


def main(directory: Path) -> int:
    """Print the summary of a directory of reports.

    :returns: the exit code
    """
    environments = _read(directory)
    cases = [case for environment in environments for case in environment.cases]
    print(f"\n{'environment':14}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for environment in environments:
        counts = (environment.passed, environment.failed, environment.skipped) if environment.cases else ("", "", "")
        print("{:14}{:>8}{:>8}{:>9}".format(environment.name, *counts) + f"{environment.seconds:>9.0f}")
    if cases:
        _print_tests(cases)
    for environment in environments:
        for note in environment.notes:
            print(f"{environment.name}: {note}")
    for case in cases:
        if case.failure is not None:
            print(f"failed: {case.environment}  {case.name}  {case.failure}")
    failed = sum(environment.failed for environment in environments)
    passed = sum(environment.passed for environment in environments)
    skipped = sum(environment.skipped for environment in environments)
    print(f"total: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def _print_tests(cases: list[Case]) -> None:
    """Print the slowest tests, and the environments of the tests that can run on several clouds."""
    print("\nslowest tests, in seconds:")
    for case in sorted(cases, key=lambda case: -case.seconds)[:SLOWEST]:
        print(f"{case.seconds:>9.1f}  {case.environment}  {case.name}")
    print()
    for package in _ON_A_CLOUD:
        ran = Counter(case.environment for case in cases if case.name.startswith(f"{package}."))
        print(f"{package} ran in", ", ".join(f"{name} ({number} tests)" for name, number in ran.items()) or "nothing")


def _read(directory: Path) -> list[Environment]:
    """Read all reports, in the order in which tox lists the environments."""
    report = directory / "tox.json"
    listed = json.loads(report.read_text())["testenvs"] if report.exists() else {}
    seconds = {name: entry["result"]["duration"] for name, entry in listed.items() if "result" in entry}
    files = {path.stem: path for path in sorted(directory.glob("*.xml"))}
    environments = [Environment(name) for name in dict.fromkeys([*seconds, *files])]
    for environment in environments:
        if environment.name in files:
            environment.add_junit(files[environment.name])
        environment.seconds = seconds.get(environment.name, environment.seconds)
    return environments


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
