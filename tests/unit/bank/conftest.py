"""What banks of tests stand on."""

import pytest

from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def shared(clock: ManualClock) -> MemoryStore:
    """The store that several banks, or views of it, have in common."""
    return MemoryStore(clock)
