"""Fixtures: the parts of an engine on their own database, a Keystone with trusts, and a double of the REST API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor_like.clock import ManualClock
from tests.fixtures.cloud import SandboxCloud
from tests.fixtures.rest_api import rest_api  # noqa: F401 - a fixture
from tests.fixtures.transactions import waits_in_transactions  # noqa: F401 - a fixture
from tests.functional.operationengine.site import START, Site


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCloud]:
    with SandboxCloud(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def site(cloud, rest_api, clock: ManualClock, tmp_path: Path) -> Iterator[Site]:  # noqa: F811
    opened = Site(cloud, clock, tmp_path)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def guarded(waits_in_transactions: list[str]) -> None:  # noqa: F811
    """No transaction of this process waits for anything but the database."""
