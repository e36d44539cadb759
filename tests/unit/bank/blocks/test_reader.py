import os
import random

import pytest

from karbor_like.bank.objectstore.memory import MemoryStore
from tests.unit.bank import banks
from tests.unit.bank.reader import Reader

MASTERS = {"m1": bytes([7]) * 32}


def objects(store):
    contents, marker = {}, ""
    while page := store.list("", marker):
        contents |= {info.key: store.get(info.key) for info in page}
        marker = page[-1].key
    return contents


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("size", [0, 1, 64, 65, 5000, 16 * 64, 16 * 64 * 3 + 1])
def test_an_independent_reader_restores_what_was_stored(encrypted, size):
    noise = random.Random(size)
    first = bytearray(noise.randbytes(size))
    first[size // 3 : size // 2] = bytes(size // 2 - size // 3)
    first[size // 2 : size // 2 + size // 4] = (b"text " * size)[: size // 4]
    second = bytearray(first)
    for at in (0, size // 2, size - 1):
        second[at : at + 1] = b"?" * (size > 0)
    store = MemoryStore()
    bank = banks.make_bank(store, encrypted=encrypted)
    banks.protect(bank, "c1", bytes(first))
    banks.protect(bank, "c2/ü", bytes(second), bases=("c1",))
    banks.protect(bank, "old", bytes(second), bases=("c1",))
    banks.make_version_1(bank, bank.section("old", banks.PROJECT, banks.VOLUME))
    reader = Reader(objects(store), MASTERS if encrypted else {})
    assert reader.stream("c1", banks.VOLUME, "data") == bytes(first)
    assert reader.stream("c2/ü", banks.VOLUME, "data") == bytes(second)
    assert reader.stream("old", banks.VOLUME, "data") == bytes(second)


def test_it_reads_what_was_written_after_a_rotation_and_by_a_second_attempt():
    store = MemoryStore()
    first, second = os.urandom(1000), os.urandom(2000)
    with banks.make_bank(store).leases.acquire(holder="test") as lease:
        section = banks.new_section(banks.make_bank(store), "c1", lease)
        section.write("data", [first])
    both = (banks.master_key("m2", 8), banks.master_key())
    bank = banks.make_bank(store, masters=both)
    assert bank.keyring.rotate(remove_old=True).wrapped == 1
    with bank.leases.acquire(holder="test") as lease:
        banks.new_section(bank, "c1", lease).write("data", [second])
    assert Reader(objects(store), {"m2": bytes([8]) * 32}).stream("c1", banks.VOLUME, "data") == second


def test_it_reads_what_the_commit_pinned_despite_later_attempts():
    store = MemoryStore()
    bank = banks.make_bank(store)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [b"committed"])
        bank.checkpoints.commit("c1", lease)
        section.write("data", [b"too late"])
    assert Reader(objects(store), MASTERS).stream("c1", banks.VOLUME, "data") == b"committed"


def test_it_does_not_read_a_checkpoint_with_a_tombstone():
    store = MemoryStore()
    bank = banks.make_bank(store)
    banks.protect(bank, "c1", b"one")
    banks.protect(bank, "c2", b"two")
    before = objects(store)
    bank.checkpoints.delete("c1")
    assert [key for key in objects(store) if key not in before] == ["checkpoints/c1/deleted"]
    # The state after a deletion was killed after its first step: everything else exists.
    reader = Reader({**before, "checkpoints/c1/deleted": b""}, MASTERS)
    with pytest.raises(AssertionError, match="was deleted"):
        reader.stream("c1", banks.VOLUME, "data")
    assert reader.stream("c2", banks.VOLUME, "data") == b"two"
