"""A small sandbox, clients for it, a bank in memory and a network that can be cut, for the suites of plugins."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor_like.bank.bank import Bank
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.bank.options import BankOptions
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import SystemClock
from karbor_like.sandbox.cloud import Sandbox
from tests.contract.plugins.running import SMALL_GIB, Line, make_conf


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "cloud") as sandbox:
        sandbox.settings(job_delay=0.0, gib=SMALL_GIB)
        yield sandbox


@pytest.fixture
def factory(cloud: Sandbox) -> ClientFactory:
    return ClientFactory(make_conf(cloud))


@pytest.fixture
def bank() -> Iterator[Bank]:
    made = Bank(MemoryStore(), keyring=None, options=BankOptions(), clock=SystemClock())
    yield made
    made.close()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch)
