import pytest

from karbor_like.bank.objectstore import memory
from tests.contract import objectstore


# No other program can write to the memory of this process.
class TestMemoryStore(objectstore.ObjectStoreContract, lacks={"foreign objects"}):
    @pytest.fixture
    def store(self) -> memory.MemoryStore:
        return memory.MemoryStore()
