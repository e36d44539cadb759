"""The clock and the store of the banks in tests."""

import pytest

from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def shared(clock: ManualClock) -> MemoryStore:
    """The store that several banks, or views of it, share."""
    return MemoryStore(clock)
