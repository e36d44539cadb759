from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.transactions import waits_in_transactions  # noqa: F401 - a fixture
from tests.functional.protection import plugins
from tests.functional.protection.processes import Zygote
from tests.functional.protection.site import LEASE, Site, running, write_files


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Starts processes."""
    found = Zygote()
    yield found
    found.close()


@pytest.fixture
def lease() -> int:
    """Seconds. Shorter where others are to take over."""
    return LEASE


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease: int) -> Path:
    """The main configuration file of a new site."""
    path = write_files(tmp_path, lease=lease)
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "cloud"))
    return path


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A running service."""
    with running(Site(tmp_path, files)) as found:
        yield found


@pytest.fixture
def idle(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A service that accepts calls but runs no operation, with one node."""
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    yield site
    site.close()


@pytest.fixture(autouse=True)
def guarded(waits_in_transactions: list[str]) -> None:  # noqa: F811
    """No transaction of this process waits for anything but the database."""
