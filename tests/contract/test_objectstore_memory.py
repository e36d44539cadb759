import pytest

from karbor_like.bank.objectstore import memory
from tests.contract import objectstore


class TestMemoryStore(objectstore.ObjectStoreContract):
    @pytest.fixture
    def store(self) -> memory.MemoryStore:
        return memory.MemoryStore()
