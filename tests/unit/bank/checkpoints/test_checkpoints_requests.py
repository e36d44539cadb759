"""How many requests a bank sends to its store for one checkpoint of a small volume. Each of them is a round trip."""

from collections import Counter

import pytest

from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures import rounds, stores
from tests.unit.bank import banks


class CountingStore(stores.FaultyStore):
    """Counts requests by method and kind of key, and rounds if it is given what counts them."""

    def __init__(self, inner: MemoryStore, clock: ManualClock, chains: rounds.Rounds | None = None) -> None:
        super().__init__(inner, clock)
        self.requests: Counter[str] = Counter()
        self._chains = chains

    def _call(self, op, key, function):
        if self._chains is not None:
            self._chains.request()
        kind = key.split("/")[2] if key.startswith("checkpoints/") else key.split("/")[0]
        self.requests[f"{op} {kind}"] += 1
        return super()._call(op, key, function)


@pytest.fixture(params=[True, False], ids=["encrypted", "plain"])
def encrypted(request) -> bool:
    return request.param


class Process:
    """A process that has just opened the bank *shared*."""

    def __init__(self, shared: MemoryStore, clock: ManualClock, encrypted: bool) -> None:
        self.store = CountingStore(shared, clock)
        self.bank = banks.make_bank(self.store, clock=clock, encrypted=encrypted)

    def begin(self, checkpoint_id: str) -> None:
        """Do what happens before the call that asks for a checkpoint answers."""
        with self.bank.leases.acquire(holder="call") as lease:
            self.bank.checkpoints.begin(banks.record(checkpoint_id), lease)

    def run(self, checkpoint_id: str, *bases: str) -> None:
        """Do what the operation does. Each hook opens the section of the volume."""
        with self.bank.leases.acquire(holder="operation", bases=bases) as lease:
            self.bank.checkpoints.create(banks.record(checkpoint_id), lease)
            for state in ("snapshot", "image", "stored"):
                section = self.bank.section(checkpoint_id, banks.PROJECT, banks.VOLUME, lease=lease)
                section.put("metadata", {"state": state})
            sections = [self.bank.section(base, banks.PROJECT, banks.VOLUME) for base in bases]
            section.write("data", [b"x" * 1000], size=1000, bases=sections)
            self.bank.checkpoints.commit(checkpoint_id, lease)


def test_a_call_waits_for_ten_requests_at_most(shared, clock, encrypted):
    for checkpoint_id in ("first of its project", "second"):
        process = Process(shared, clock, encrypted)
        process.begin(checkpoint_id)
        assert process.store.calls <= (10 if encrypted else 7), process.store.requests
        assert process.bank.checkpoints.get(checkpoint_id).status == "protecting"


@pytest.mark.parametrize("bases", [(), ("c0",)], ids=["without base", "with base"])
def test_the_run_of_a_small_volume(shared, clock, encrypted, bases):
    for base in bases:
        banks.protect(banks.make_bank(shared, clock=clock, encrypted=encrypted), base, b"x" * 1000)
    Process(shared, clock, encrypted).begin("c1")
    process = Process(shared, clock, encrypted)
    process.run("c1", *bases)
    assert process.store.calls <= 54 + 6 * len(bases), process.store.requests
    assert process.bank.checkpoints.get("c1").status == "available"


def test_nothing_is_put_twice(shared, clock, encrypted):
    puts: Counter[str] = Counter()

    class Watched(stores.FaultyStore):
        def put(self, key, data):
            puts[key] += 1
            super().put(key, data)

    bank = banks.make_bank(Watched(shared, clock), clock=clock, encrypted=encrypted)
    with bank.leases.acquire(holder="call") as lease:
        bank.checkpoints.begin(banks.record("c1"), lease)
    banks.protect(bank, "c1", b"x" * 1000)
    assert puts
    assert set(puts.values()) == {1}


def test_each_write_asks_once_whether_it_was_taken_over(shared, clock, encrypted):
    process = Process(shared, clock, encrypted)
    with process.bank.leases.acquire(holder="operation") as lease:
        section = banks.new_section(process.bank, "c1", lease)
        section.put("metadata", {})
        before = Counter(process.store.requests)
        for _ in range(5):
            section.put("metadata", {})
    assert process.store.requests - before == Counter({"get writers": 5, "put resources": 5, "put leases": 1})
