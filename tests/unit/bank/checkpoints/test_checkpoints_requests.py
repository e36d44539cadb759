"""How many requests a bank sends to its store for one checkpoint of a small volume. Each of them is a round trip."""

from collections import Counter
from collections.abc import Iterator

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

    def __init__(
        self, shared: MemoryStore, clock: ManualClock, encrypted: bool, chains: rounds.Rounds | None = None
    ) -> None:
        self.store = CountingStore(shared, clock, chains)
        self.bank = banks.make_bank(self.store, clock=clock, encrypted=encrypted)

    def begin(self, checkpoint_id: str) -> None:
        """Do what happens before the call that asks for a checkpoint answers."""
        with self.bank.leases.acquire(holder="call") as lease:
            self.bank.checkpoints.begin(banks.record(checkpoint_id), lease)

    def run(self, checkpoint_id: str, *bases: str) -> None:
        """Do what the operation does. Each hook opens the section of the volume, and those that it builds on."""
        with self.bank.leases.acquire(holder="operation", bases=bases) as lease:
            self.bank.checkpoints.create(banks.record(checkpoint_id), lease)
            for state in ("snapshot", "image", "stored"):
                section = self.bank.section(checkpoint_id, banks.PROJECT, banks.VOLUME, lease=lease)
                sections = [self.bank.section(base, banks.PROJECT, banks.VOLUME, under=lease) for base in bases]
                assert [base.stats("data").logical for base in sections] == [1000] * len(bases)
                section.put("metadata", {"state": state})
            section.write("data", [b"x" * 1000], size=1000, bases=sections)
            assert section.stats("data").logical == 1000
            assert section.get("metadata") == {"state": "stored"}
            self.bank.checkpoints.commit(checkpoint_id, lease)

    def restore(self, checkpoint_id: str) -> None:
        """Restore the volume. Each hook opens its section."""
        with self.bank.leases.acquire(holder="operation", bases=[checkpoint_id], kind="read") as lease:
            assert self.bank.checkpoints.get(checkpoint_id, under=lease).status == "available"
            for _ in range(4):
                section = self.bank.section(checkpoint_id, banks.PROJECT, banks.VOLUME, under=lease)
                assert section.get("metadata") == {"state": "stored"}
                assert section.stats("data").logical == 1000
            assert banks.read(section) == b"x" * 1000


@pytest.fixture
def chains() -> Iterator[rounds.Rounds]:
    with rounds.counting() as found:
        yield found


def test_a_call_waits_for_ten_requests_at_most(shared, clock, encrypted, chains):
    for checkpoint_id in ("first of its project", "second"):
        process = Process(shared, clock, encrypted, chains)
        begun = chains.here
        process.begin(checkpoint_id)
        assert process.store.calls <= (10 if encrypted else 7), process.store.requests
        assert chains.here - begun <= (7 if encrypted else 5)
        assert process.bank.checkpoints.get(checkpoint_id).status == "protecting"


@pytest.mark.parametrize("bases", [(), ("c0",)], ids=["without base", "with base"])
def test_the_run_of_a_small_volume(shared, clock, encrypted, bases, chains):
    for base in bases:
        banks.protect(banks.make_bank(shared, clock=clock, encrypted=encrypted), base, b"x" * 1000)
    Process(shared, clock, encrypted).begin("c1")
    process = Process(shared, clock, encrypted, chains)
    begun = chains.here
    process.run("c1", *bases)
    assert process.store.calls <= 53 + 7 * len(bases), process.store.requests
    assert chains.here - begun <= 34 + 8 * len(bases)
    assert process.bank.checkpoints.get("c1").status == "available"


def test_a_restore_reads_everything_once(shared, clock, encrypted, chains):
    Process(shared, clock, encrypted).run("c1")
    process = Process(shared, clock, encrypted, chains)
    begun = chains.here
    process.restore("c1")
    assert process.store.requests["list events"] == process.store.requests["get plan.json"] == 1
    assert process.store.calls <= (14 if encrypted else 13), process.store.requests
    assert chains.here - begun <= (13 if encrypted else 12)


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
