"""Streams read back as they were written, for all sizes, bases and options."""

import contextlib
import itertools
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.format import manifest
from karbor_like.bank.leases import exclusions
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures.stores import CORRUPT, FAIL, LOSE, SHORT, FaultyStore
from tests.unit.bank import banks

BLOCK = banks.BLOCK

#: A piece of a stream: zeros, noise, compressible text, or a repeated block.
pieces = st.one_of(
    st.builds(bytes, st.integers(1, 40 * BLOCK)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(), st.integers(1, 900)),
    st.builds(lambda n: b"as text " * n, st.integers(1, 200)),
    st.sampled_from([b"A" * BLOCK, b"B" * BLOCK, b"C" * (BLOCK - 1)]),
)
contents = st.lists(pieces, max_size=12).map(b"".join)
edits = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=2 * BLOCK)), max_size=5)


def changed(data, changes):
    """Return *data* with some places overwritten."""
    new = bytearray(data)
    for where, what in changes:
        at = int(where * len(new))
        new[at : at + len(what)] = what
    return bytes(new)


@settings(max_examples=60)
@given(
    data=contents,
    first=edits,
    second=edits,
    encrypted=st.booleans(),
    chunk=st.integers(1, 3000),
    block_size=st.sampled_from([1, 7, 64, 100, 512]),
    segment_blocks=st.integers(1, 20),
    pack_size=st.integers(700, 3000),
)
def test_streams_come_back(data, first, second, encrypted, chunk, block_size, segment_blocks, pack_size):
    # Every block and every segment takes its time. Hypothesis likes the smallest ones, which would take minutes.
    data = data[: block_size * min(200, 30 * segment_blocks)]
    bank = banks.make_bank(
        encrypted=encrypted, block_size=block_size, segment_blocks=segment_blocks, pack_size=pack_size
    )
    versions = [data, changed(data, first), changed(data, second)]
    sections = [
        banks.protect(bank, "c0", versions[0], chunk=chunk),
        banks.protect(bank, "c1", versions[1], bases=("c0",), chunk=chunk),
        banks.protect(bank, "c2", versions[2], bases=("c1", "c0"), chunk=chunk),
    ]
    for section, version in zip(sections, versions, strict=True):
        assert banks.read(section) == version
        section.verify("data", "quick")
        section.verify("data", "full")
        stats = section.stats("data")
        assert stats.logical == len(version)
        assert stats.new <= len(version)


def test_a_stream_that_did_not_change_stores_a_manifest_only():
    bank = banks.make_bank()
    data = os.urandom(50 * BLOCK)
    banks.protect(bank, "c0", data)
    packs = bank.store.list("data/")
    stats = banks.protect(bank, "c1", data, bases=("c0",)).stats("data")
    assert stats.new == 0
    assert bank.store.list("data/") == packs


def test_only_what_changed_is_stored():
    bank = banks.make_bank()
    data = os.urandom(50 * BLOCK)
    banks.protect(bank, "c0", data)
    stats = banks.protect(bank, "c1", changed(data, [(0.5, b"x")]), bases=("c0",)).stats("data")
    assert stats.new == BLOCK


def test_any_checkpoint_can_be_deleted_and_the_others_stay_whole():
    bank = banks.make_bank()
    versions = {"c0": os.urandom(50 * BLOCK)}
    for number in range(1, 4):
        versions[f"c{number}"] = changed(versions[f"c{number - 1}"], [(number / 5, os.urandom(BLOCK))])
    for number, (checkpoint, data) in enumerate(versions.items()):
        banks.protect(bank, checkpoint, data, bases=(f"c{number - 1}",) if number else ())
    bank.checkpoints.delete("c0")
    bank.checkpoints.delete("c2")
    for checkpoint in ("c1", "c3"):
        assert banks.read(bank.section(checkpoint, banks.PROJECT, banks.VOLUME)) == versions[checkpoint]


def test_zeros_are_only_counted():
    objects = []
    for size in (BLOCK, 1000 * BLOCK + 1):
        bank = banks.make_bank()
        section = banks.protect(bank, "c0", bytes(size))
        assert section.stats("data").stored == 0
        assert banks.read(section) == bytes(size)
        keys = [info.key for info in bank.store.list("")]
        assert not [key for key in keys if key.startswith("data/") or "/segments/" in key]
        objects.append(len(keys))
    assert objects[0] == objects[1]


def test_a_repeated_block_is_stored_once():
    bank = banks.make_bank(threads=1)
    stats = banks.protect(bank, "c0", os.urandom(BLOCK) * 40).stats("data")
    assert stats.new == BLOCK


def test_a_base_with_another_block_size_is_ignored():
    store = MemoryStore()
    data = os.urandom(3000)
    banks.protect(banks.make_bank(store), "c0", data)
    other = banks.make_bank(store, block_size=100)
    section = banks.protect(other, "c1", data, bases=("c0",))
    assert section.stats("data").new == 3000
    assert banks.read(section) == data
    assert banks.read(banks.make_bank(store).section("c1", banks.PROJECT, banks.VOLUME)) == data


def test_progress_and_check_are_called():
    bank = banks.make_bank()
    done, checks = [], []
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        section.write("data", [os.urandom(10_000)] * 3, progress=done.append, check=lambda: checks.append(1))
    assert done[-1] == 30_000
    assert done == sorted(done)
    assert len(checks) > 3


# Bases.


def test_blocks_in_packs_on_a_refresh_list_are_stored_again():
    bank = banks.make_bank()
    data = os.urandom(50 * BLOCK)
    banks.protect(bank, "c0", data)
    packs = [bytes.fromhex(layout.parse_pack_key(info.key)[1]) for info in bank.store.list("data/")]
    exclusions.put_lists(bank.store.put, layout.REFRESH, banks.PROJECT, packs=packs[:2])
    section = banks.protect(bank, "c1", data, bases=("c0",))
    assert 0 < section.stats("data").new < len(data)
    used = {use.pack for use in uses(bank, section)}
    assert not used & {pack.hex() for pack in packs[:2]}
    assert used & {pack.hex() for pack in packs[2:]}


def uses(bank, section):
    key = banks.head_keys(bank, section.checkpoint_id)[0]
    resolve_key = bank.keyring.resolve_key if bank.keyring else None
    return list(manifest.pack_uses(bank.store, manifest.read_head(bank.store, key, resolve_key), resolve_key))


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_blocks_in_a_damaged_pack_of_the_base_are_stored_again(damage):
    bank = banks.make_bank()
    data = os.urandom(50 * BLOCK)
    banks.protect(bank, "c0", data)
    key = bank.store.list("data/")[1].key
    whole = bank.store.get(key)
    bank.store.delete(key)
    if damage == "cut":
        bank.store.put(key, whole[:-1])
    section = banks.protect(bank, "c1", data, bases=("c0",))
    assert 0 < section.stats("data").new < len(data)
    assert banks.read(section) == data


@pytest.mark.parametrize("part", ["manifests", "segments"])
def test_a_base_that_cannot_be_read_is_ignored(part):
    bank = banks.make_bank()
    data = os.urandom(50 * BLOCK)
    banks.protect(bank, "c0", data)
    (key, *_) = [info.key for info in bank.store.list("checkpoints/") if f"/{part}/" in info.key]
    bank.store.put(key, b"damaged")
    section = banks.protect(bank, "c1", data, bases=("c0",))
    assert section.stats("data").new > 0
    assert banks.read(section) == data


def test_a_base_that_the_lease_does_not_name_is_refused():
    bank = banks.make_bank()
    base = banks.protect(bank, "c0", os.urandom(1000))
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c1", lease)
        with pytest.raises(ValueError, match="does not name the checkpoint c0"):
            section.write("data", [b"x"], bases=[base])


def test_a_base_of_another_project_is_refused():
    bank = banks.make_bank()
    base = banks.protect(bank, "c0", os.urandom(1000), project_id="project-2")
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        section = banks.new_section(bank, "c1", lease)
        with pytest.raises(ValueError, match="project-2"):
            section.write("data", [b"x"], bases=[base])


# Failures.


def bank_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("bank-")]


class Boom(Exception):
    pass


def write_and_fail(bank, stream, error, **kwargs):
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        with pytest.raises(error) as raised:
            section.write("data", stream, **kwargs)
        with pytest.raises(errors.ObjectNotFound):
            section.read("data")
        assert "data" not in section.names()
    assert not bank_threads()
    return raised


def failing_source(after):
    for _ in range(after):
        yield os.urandom(5000)
    raise Boom


@pytest.mark.parametrize("after", [0, 1, 50])
def test_a_source_that_fails_leaves_nothing_to_read(after):
    write_and_fail(banks.make_bank(), failing_source(after), Boom)


@pytest.mark.parametrize("size", [0, 99_999, 100_001])
def test_a_source_of_another_size_leaves_nothing_to_read(size):
    raised = write_and_fail(banks.make_bank(), [os.urandom(100_000)], exception.Unavailable, size=size)
    assert f"100000 bytes; expected {size}" in str(raised.value)


def test_check_stops_it():
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 5:
            raise Boom

    write_and_fail(banks.make_bank(), (os.urandom(200_000) for _ in range(10_000)), Boom, check=check)


@pytest.mark.parametrize("nth", [1, 2, 7, 20])
@pytest.mark.parametrize("fault", [FAIL, LOSE])
def test_a_pack_that_cannot_be_stored_stops_it(fault, nth):
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    store.inject(fault, op="put", prefix="data/", nth=nth, times=100_000)
    write_and_fail(bank, (os.urandom(5000) for _ in range(100_000)), errors.ConnectionFailed)
    assert store.calls < 2000


def test_a_segment_that_cannot_be_stored_stops_it():
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        prefix = layout.resource_prefix("c0", banks.VOLUME) + "segments/"
        store.inject(FAIL, op="put", prefix=prefix, nth=3, times=100_000)
        with pytest.raises(errors.ConnectionFailed):
            section.write("data", (os.urandom(5000) for _ in range(100_000)))
    assert not bank_threads()


@pytest.mark.parametrize("fault", [CORRUPT, SHORT])
def test_a_head_that_fails_its_read_back_is_detected(fault):
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        store.inject(fault, op="get", prefix=layout.manifest_prefix("c0", banks.VOLUME, "data"))
        with pytest.raises(errors.Corrupted):
            section.write("data", [os.urandom(5000)])


def test_a_writer_without_its_lease_stores_no_head():
    bank = banks.make_bank()
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)

        def source():
            yield os.urandom(5000)
            bank.clock.advance(1000)
            yield os.urandom(5000)

        with pytest.raises(errors.LeaseLost):
            section.write("data", source())
    assert not banks.head_keys(bank, "c0")


def test_a_closed_reader_ends_its_threads():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", os.urandom(200_000))
    with section.read("data") as reader:
        next(iter(reader))
    assert not bank_threads()
    assert list(reader) == []


def test_a_chunk_cannot_be_used_after_the_next_one_was_requested():
    bank = banks.make_bank(block_size=64 * 1024, pack_size=1 << 20)
    data = os.urandom(5 << 20)
    section = banks.protect(bank, "c0", data, chunk=1 << 20)
    got = []
    with section.read("data") as reader:
        for chunk in reader:
            got.append(chunk)
            assert bytes(chunk) == data[: len(chunk)]
            data = data[len(chunk) :]
    assert not data
    assert len(got) > 2
    for chunk in got:
        with pytest.raises(ValueError, match="released"):
            bytes(chunk)


def test_many_short_streams_are_read_concurrently():
    bank = banks.make_bank(block_size=64 * 1024, pack_size=1 << 20, memory_budget=40 << 20)
    section = banks.protect(bank, "c0", os.urandom(1000))

    looks = itertools.count()

    def check():
        assert next(looks) < 200, "it waits for memory"

    with contextlib.ExitStack() as stack:
        for _ in range(20):
            reader = stack.enter_context(section.read("data", check=check))
            assert len(next(iter(reader))) == 1000
    assert not bank_threads()


def test_a_reader_can_be_stopped():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", os.urandom(200_000))

    def check():
        raise Boom

    with pytest.raises(Boom), section.read("data", check=check) as reader:
        list(reader)
    assert not bank_threads()


def test_concurrent_streams_stay_within_the_budget_and_do_not_block_each_other():
    bank = banks.make_bank(block_size=4096, pack_size=1 << 20, memory_budget=40 << 20)
    data = [os.urandom(3 << 20) for _ in range(6)]
    failures = []

    def run(number):
        try:
            section = banks.protect(bank, f"c{number}", data[number], chunk=100_000)
            assert banks.read(section) == data[number]
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


def test_concurrent_readers_and_writers_do_not_block_each_other():
    """There are more of them than fit into the budget, and their streams contain zeros."""
    bank = banks.make_bank(block_size=64 * 1024, pack_size=1 << 20, segment_blocks=64, memory_budget=40 << 20)
    data = b"".join(os.urandom(1 << 20) + bytes((number % 3) << 20) for number in range(12))
    section = banks.protect(bank, "c0", data, chunk=1 << 20)
    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(banks.read, section) for _ in range(6)]
        writing = [pool.submit(banks.protect, bank, f"c{number}", data, chunk=1 << 20) for number in (1, 2)]
        assert all(future.result(120) == data for future in reading)
        assert all(banks.read(future.result(120)) == data for future in writing)


def test_copies_within_a_bank_do_not_block_each_other():
    """Each copy is a writer whose source is a reader of the same bank."""
    bank = banks.make_bank(block_size=4096, pack_size=1 << 20, memory_budget=40 << 20)
    data = os.urandom(3 << 20)
    section = banks.protect(bank, "c0", data, chunk=1 << 20)

    def copy(number):
        with bank.leases.acquire(holder="test") as lease, section.read("data") as reader:
            copied = banks.new_section(bank, f"c{number}", lease)
            copied.write("data", reader, size=reader.size)
            return banks.read(copied)

    with ThreadPoolExecutor(6) as pool:
        assert all(copied == data for copied in pool.map(copy, range(1, 7), timeout=120))
