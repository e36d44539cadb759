"""What an operation reads once, under its lease, in all of its hooks."""

import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.sources import MemoryTarget

DATA = b"x" * 1000


@pytest.fixture
def store(shared, clock) -> stores.FaultyStore:
    return stores.FaultyStore(shared, clock)


@pytest.fixture
def bank(store, clock):
    bank = banks.make_bank(store, clock=clock)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.put("metadata", {"list": [1]})
        section.write("data", [DATA])
        bank.checkpoints.commit("c1", lease)
    return bank


@pytest.fixture
def lease(bank):
    with bank.leases.acquire(holder="test", bases=["c1"], kind="read") as lease:
        yield lease


def open_section(bank, lease):
    return bank.section("c1", banks.PROJECT, banks.VOLUME, under=lease)


def test_a_document_that_a_hook_changes_is_unchanged_for_the_next(bank, lease):
    open_section(bank, lease).get("metadata")["list"].append(2)
    assert open_section(bank, lease).get("metadata") == {"list": [1]}


def test_a_second_hook_sends_no_request(bank, store, lease):
    for _ in range(2):
        before = store.calls
        assert open_section(bank, lease).get("metadata") == {"list": [1]}
        assert open_section(bank, lease).stats("data").logical == 1000
    assert store.calls == before


def test_a_verification_reads_again(bank, store, lease):
    section = open_section(bank, lease)
    section.get("metadata")
    section.stats("data")
    for name, kind in (("metadata", "documents"), ("data", "manifests")):
        (key,) = [info.key for info in store.list("checkpoints/c1/") if layout.kind_of(info.key) == kind]
        store.delete(key)
        with pytest.raises(errors.ObjectMissing):
            section.verify(name, "quick")


@pytest.mark.parametrize("known", [False, True], ids=["unread", "read"])
def test_a_deletion_meanwhile_is_named(bank, clock, lease, known):
    section = open_section(bank, lease)
    if known:
        section.get("metadata")
        section.stats("data")
    bank.checkpoints.delete("c1")
    reads = [lambda: banks.read(section), lambda: section.restore("data", MemoryTarget(1000))]
    if not known:
        reads += [lambda: section.get("metadata"), lambda: section.stats("data")]
    for read in reads:
        with pytest.raises(exception.CheckpointNotFound, match="checkpoint c1 was deleted"):
            read()


@pytest.mark.parametrize("known", [False, True], ids=["unread", "read"])
def test_a_base_that_is_deleted_meanwhile_does_not_stop_a_writer(bank, known):
    with bank.leases.acquire(holder="writer", bases=["c1"]) as lease:
        base = open_section(bank, lease)
        if known:
            base.stats("data")
        bank.checkpoints.delete("c1")
        if not known:
            with pytest.raises(errors.ObjectMissing):
                base.get("metadata")
        section = banks.new_section(bank, "c2", lease)
        section.write("data", [DATA], bases=[open_section(bank, lease)])
        bank.checkpoints.commit("c2", lease)
    assert banks.read(bank.section("c2", banks.PROJECT, banks.VOLUME)) == DATA


def test_an_unfinished_checkpoint_is_read_again(bank, clock):
    with bank.leases.acquire(holder="writer") as writer, bank.leases.acquire(holder="reader", kind="read") as lease:
        section = banks.new_section(bank, "c2", writer)
        for n in range(2):
            section.put("metadata", {"n": n})
            reading = bank.section("c2", banks.PROJECT, banks.VOLUME, under=lease)
            assert reading.get("metadata") == {"n": n}


def test_what_was_deleted_is_forgotten_by_its_writer(bank):
    with bank.leases.acquire(holder="writer") as lease:
        section = banks.new_section(bank, "c2", lease)
        section.put("metadata", {"n": 1})
        section.delete()
        with pytest.raises(errors.ObjectNotFound):
            section.get("metadata")
        section.put("metadata", {"n": 2})
        assert section.get("metadata") == {"n": 2}


def test_a_base_is_read_after_the_lists_of_the_collector(bank, store, clock):
    """Whether or not it is first read to look at its size."""
    with bank.leases.acquire(holder="writer", bases=["c1"]) as lease:
        order: list[str] = []
        real = store._call

        def call(op, key, function):
            order.append(f"{op} {key}")
            return real(op, key, function)

        store._call = call
        open_section(bank, lease).stats("data")
    head = next(at for at, request in enumerate(order) if "/manifests/" in request)
    lists = [at for at, request in enumerate(order) if request.startswith(("list quarantine/", "list refresh/"))]
    assert len(lists) == 2
    assert max(lists) < head
