"""Adds up the JUnit reports of several pytest runs: python tools/summary.py DIRECTORY. Ends with 1 where a test failed."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(directory: Path) -> int:
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    print(f"\n{'run':12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for path in sorted(directory.glob("*.xml")):
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))  # noqa: S314 (our own files)
        counts = {name: sum(int(suite.get(name, 0)) for suite in suites) for name in total}
        seconds = sum(float(suite.get("time", 0)) for suite in suites)
        passed, failed = _passed(counts), _failed(counts)
        print(f"{path.stem:12}{passed:>8}{failed:>8}{counts['skipped']:>9}{seconds:>9.0f}")
        total = {name: total[name] + counts[name] for name in total}
    print(f"total: {_passed(total)} passed, {_failed(total)} failed, {total['skipped']} skipped")
    return 1 if _failed(total) else 0


def _failed(counts: dict[str, int]) -> int:
    return counts["failures"] + counts["errors"]


def _passed(counts: dict[str, int]) -> int:
    return counts["tests"] - _failed(counts) - counts["skipped"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
