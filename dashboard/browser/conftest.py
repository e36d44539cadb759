"""Keeps what the browser shows when a test fails."""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if report.when == "call" and report.failed and browser is not None:
        browser.picture("failed")
        report.sections.append(("page", f"{browser.path()}\n{browser.text()}"))
    return report
