"""From one bank into another one with keys of its own: the same bytes, incrementally, and nothing that is damaged."""

import itertools
import os
from collections.abc import Iterator

import pytest

from karbor_like.bank import errors, layout
from karbor_like.bank.bank import Bank
from karbor_like.bank.checkpoints import copier
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.unit.bank import banks
from tests.unit.bank.banks import BLOCK, PROJECT, VOLUME

DATA = os.urandom(20 * BLOCK) + b"text " * 100 + bytes(200 * BLOCK) + os.urandom(10 * BLOCK) + b"odd end"
OTHER_MASTER = banks.master_key("m2", 9)


class CountingStore(MemoryStore):
    """Notes what is read of packs."""

    packs_read = 0

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().get(key, start, length)
        self.packs_read += len(data) if "/packs/" in key else 0
        return data


class FullStore(MemoryStore):
    """Has room for no pack."""

    def put(self, key: str, data: object) -> None:
        if "/packs/" in key:
            raise errors.BankFull(f"{key}: make room")
        super().put(key, data)


def make_source(data: bytes = DATA, **options) -> Bank:
    """A bank with the checkpoint ``c0``, which has two documents and two streams."""
    bank = banks.make_bank(CountingStore(ManualClock()), **options)
    add(bank, "c0", data)
    return bank


def add(bank: Bank, checkpoint_id: str, data: bytes) -> None:
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, checkpoint_id, lease)
        section.put("metadata", {"name": "ünïcode"})
        section.put("data", {"a document": "with the name of a stream"})
        section.write("data", banks.chunks(data, 1000))
        section.write("more", [b"another stream"])
        bank.checkpoints.commit(checkpoint_id, lease)


def section_of(bank: Bank, checkpoint_id: str = "c0") -> ResourceSection:
    return bank.section(checkpoint_id, PROJECT, VOLUME)


def copied(source: Bank, target: Bank, of: str = "c0", to: str = "k0", bases: tuple[str, ...] = (), **kwargs):
    """Copy *of* as checkpoint *to* of *target*, and commit it. What its streams took."""
    with target.leases.acquire(holder="test", bases=bases) as lease:
        section = banks.new_section(target, to, lease)
        took = copier.copy(
            section_of(source, of), section, bases=[section_of(target, base) for base in bases], **kwargs
        )
        target.checkpoints.commit(to, lease)
    return took


@pytest.mark.parametrize(("ours", "theirs"), list(itertools.product([True, False], repeat=2)))
def test_all_of_it_arrives_whatever_the_keys(ours, theirs):
    source = make_source(encrypted=ours)
    target = banks.make_bank(encrypted=theirs, masters=(OTHER_MASTER,), block_size=2 * BLOCK)

    took = copied(source, target)

    there = section_of(target, "k0")
    assert banks.read(there) == DATA
    assert banks.read(there, "more") == b"another stream"
    assert there.get("metadata") == {"name": "ünïcode"}
    assert there.get("data") == {"a document": "with the name of a stream"}
    assert (there.documents(), there.streams()) == (["data", "metadata"], ["data", "more"])
    assert took == {name: there.stats(name) for name in ("data", "more")}
    assert took["data"].logical == len(DATA)
    there.verify("data", "full")
    if theirs:
        assert not any(b"text text" in target.store.get(info.key) for info in target.store.list(""))


def test_the_source_may_be_gone_afterwards():
    source, target = make_source(), banks.make_bank(masters=(OTHER_MASTER,))
    copied(source, target)
    for info in source.store.list(""):
        source.store.delete(info.key)
    assert banks.read(section_of(target, "k0")) == DATA


def test_the_second_copy_stores_only_what_changed():
    source, target = make_source(), banks.make_bank(masters=(OTHER_MASTER,))
    copied(source, target)
    changed = os.urandom(BLOCK) + DATA[BLOCK:]
    add(source, "c1", changed)

    took = copied(source, target, "c1", "k1", bases=("k0",))

    assert took["data"].new == BLOCK
    assert took["more"].new == 0
    target.checkpoints.delete("k0")
    assert banks.read(section_of(target, "k1")) == changed


def test_zeros_are_not_read():
    source, target = make_source(bytes(1000 * BLOCK) + os.urandom(BLOCK)), banks.make_bank()
    source.store.packs_read = 0
    took = copied(source, target)
    assert took["data"].new == BLOCK
    assert source.store.packs_read < 4 * BLOCK


def test_progress_is_over_all_streams():
    seen = []
    copied(make_source(), banks.make_bank(), progress=lambda done, total: seen.append((done, total)))
    whole = len(DATA) + len(b"another stream")
    assert {total for _, total in seen} == {whole}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (seen[0][0], seen[-1][0]) == (0, whole)


@pytest.mark.parametrize("kind", ["/packs/", "/segments/", "/manifests/", "/documents/"])
@pytest.mark.parametrize("gone", [True, False])
def test_what_is_damaged_is_named_and_not_copied(kind, gone):
    source, target = make_source(), banks.make_bank()
    key = next(info.key for info in source.store.list("") if kind in info.key)
    raw = bytearray(source.store.get(key))
    source.store.delete(key)
    if not gone:
        raw[50] ^= 1
        source.store.put(key, bytes(raw))

    with pytest.raises(errors.BankError, match=f"^reading checkpoint c0: {key}"):
        copied(source, target)

    assert target.checkpoints.get("k0").status != "available"


def test_what_is_wrong_with_the_target_is_not_said_of_the_source():
    target = banks.make_bank(FullStore(ManualClock()))
    with pytest.raises(errors.BankFull, match="^data/"):
        copied(make_source(), target)


def test_it_can_be_stopped():
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(make_source(), banks.make_bank(), check=stop)


def test_a_second_attempt_does_not_read_again_what_is_there():
    source, target = make_source(), banks.make_bank()
    with target.leases.acquire(holder="the first") as lease:
        copier.copy(section_of(source), banks.new_section(target, "k0", lease))
    source.store.packs_read = 0

    copied(source, target)

    assert source.store.packs_read == 0
    assert banks.read(section_of(target, "k0")) == DATA


@pytest.mark.parametrize(("digest", "read_again"), [(None, False), ("0" * 64, True)])
def test_a_second_attempt_compares_what_manifests_of_version_1_state(digest, read_again):
    source, target = make_source(), banks.make_bank()
    with target.leases.acquire(holder="the first") as lease:
        copier.copy(section_of(source), banks.new_section(target, "k0", lease))
        for bank in (source, target):
            banks.make_version_1(bank, section_of(bank, "c0" if bank is source else "k0"))
        if digest:
            (key, _) = banks.head_keys(target, "k0")
            banks.replace_head(target, key, digest=digest)
    source.store.packs_read = 0

    copied(source, target)

    assert bool(source.store.packs_read) == read_again
    assert banks.read(section_of(target, "k0")) == DATA


def test_a_stream_of_which_only_a_part_came_is_copied_again():
    source, target = make_source(), banks.make_bank()

    def cut() -> Iterator[bytes]:
        yield DATA[: 30 * BLOCK]

    with target.leases.acquire(holder="the first") as lease:
        banks.new_section(target, "k0", lease).write("data", cut())

    copied(source, target)

    assert banks.read(section_of(target, "k0")) == DATA


def test_a_resource_of_which_nothing_is_kept():
    source, target = banks.make_bank(), banks.make_bank()
    with source.leases.acquire(holder="test") as lease:
        banks.new_section(source, "c0", lease)
        source.checkpoints.commit("c0", lease)
    assert copied(source, target) == {}
    assert section_of(target, "k0").names() == []
    assert not list(target.store.list(layout.DATA))


def test_documents_that_the_target_must_not_have():
    target = banks.make_bank(encrypted=False)
    copied(make_source(encrypted=True), target, omit=["metadata"])
    section = section_of(target, "k0")
    assert section.documents() == ["data"]
    assert not section.is_encrypted
    assert section_of(make_source(encrypted=True)).is_encrypted
