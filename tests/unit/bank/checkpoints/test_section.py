import hashlib
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.section import StreamStats
from tests.unit.bank import banks
from tests.unit.bank.banks import PROJECT, VOLUME

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture
def bank():
    return banks.make_bank()


@pytest.fixture
def lease(bank):
    with bank.leases.acquire(holder="test") as lease:
        yield lease


@pytest.fixture
def section(bank, lease):
    return banks.new_section(bank, "c0", lease)


@given(name=st.text(min_size=1, max_size=15), value=st.dictionaries(st.text(), values), encrypted=st.booleans())
def test_documents_come_back(name, value, encrypted):
    bank = banks.make_bank(encrypted=encrypted)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        section.put(name, value)
        bank.checkpoints.commit("c0", lease)
    for reading in (section, bank.section("c0", PROJECT, VOLUME)):
        assert reading.get(name) == value
        assert reading.names() == [name]
        reading.verify(name, "full")


def test_documents_are_not_stored_in_clear(bank, section):
    section.put("metadata", {"admin_pass": "a secret of the tenant's"})
    assert all(b"a secret" not in bank.store.get(info.key) for info in bank.store.list(""))


def test_the_last_document_is_valid_and_nothing_was_rewritten(bank, section):
    seen = {}
    for number in range(3):
        section.put("metadata", {"attempt": number})
        assert section.get("metadata") == {"attempt": number}
        assert seen.items() <= (seen := {i.key: bank.store.get(i.key) for i in bank.store.list("checkpoints/")}).items()


def test_the_last_stream_is_valid(bank, section):
    for data in (b"first", b"second attempt"):
        section.write("data", [data])
        assert banks.read(section) == data


def test_a_second_process_goes_on_where_the_first_was_cut_off(bank, lease):
    first = banks.new_section(bank, "c0", lease)
    first.put("definition", {"by": "first"})
    first.put("metadata", {"by": "first"})
    first.write("data", [b"by the first"])
    with bank.leases.acquire(holder="another") as second_lease:
        second = banks.new_section(banks.make_bank(bank.store, clock=bank.clock), "c0", second_lease)
        assert second.get("definition") == {"by": "first"}
        second.put("metadata", {"by": "second"})
        second.write("data", [b"by the second"])
        for name, value in (("metadata", {}), ("more", {})):
            with pytest.raises(errors.LeaseLost):
                first.put(name, value)
        with pytest.raises(errors.LeaseLost):
            first.write("data", [b"too late"])
        bank.checkpoints.commit("c0", second_lease)
    reading = bank.section("c0", PROJECT, VOLUME)
    assert reading.names() == ["data", "definition", "metadata"]
    assert reading.get("metadata") == {"by": "second"}
    assert banks.read(reading) == b"by the second"


def test_what_is_written_after_the_commit_is_not_seen(bank, lease, section):
    section.put("metadata", {"committed": True})
    bank.checkpoints.commit("c0", lease)
    section.put("metadata", {"committed": False})
    section.put("late", {})
    reading = bank.section("c0", PROJECT, VOLUME)
    assert reading.get("metadata") == {"committed": True}
    assert reading.names() == ["metadata"]


def test_stats(section):
    data = os.urandom(1000) + bytes(1000)
    stats = section.write("data", [data])
    assert stats == section.stats("data")
    assert (stats.logical, stats.new) == (2000, 1024)
    assert stats.stored > 1000
    assert stats.sha256 is None
    empty = hashlib.sha256(struct.pack("<QII", 0, banks.BLOCK, banks.SMALL.segment_blocks)).hexdigest()
    assert section.write("none", []) == StreamStats(0, 0, 0, empty)


def test_the_digest_is_that_of_the_content(bank, section):
    data = os.urandom(100) + bytes(3000) + os.urandom(3000)
    first, second = section.write("first", [data]), section.write("second", [data], bases=[section])
    assert first.digest == second.digest
    others = [
        data[:-1],
        data + b"\0",
        data[1:],
        bytes(banks.BLOCK) + data,
        data[:50] + b"x" + data[51:],
        bytes(len(data)),
    ]
    digests = {section.write("others", [other]).digest for other in others}
    assert len(digests - {first.digest}) == len(others)


def test_a_manifest_of_version_1_states_the_sha256(bank, lease, section):
    section.write("data", [b"x" * 100])
    bank.checkpoints.commit("c0", lease)
    reading = bank.section("c0", PROJECT, VOLUME)
    banks.make_version_1(bank, reading)
    stats = reading.stats("data")
    assert stats.sha256 == stats.digest == hashlib.sha256(b"x" * 100).hexdigest()
    assert banks.read(reading) == b"x" * 100
    reading.verify("data", "quick")
    reading.verify("data", "full")


def test_a_reader_knows_the_size_before_it_reads(section):
    section.write("data", [b"x" * 100])
    with section.read("data") as reader:
        assert reader.size == 100
        assert b"".join(map(bytes, reader)) == b"x" * 100


def test_resources_do_not_see_each_other(bank, lease, section):
    section.put("metadata", {})
    other = bank.section("c0", PROJECT, VOLUME + "0", lease=lease)
    assert other.names() == []
    with pytest.raises(errors.ObjectNotFound, match="metadata"):
        other.get("metadata")
    other.delete()
    assert section.names() == ["metadata"]


@pytest.mark.parametrize("method", ["get", "read", "stats"])
def test_what_was_never_written_is_not_found_and_named(section, method):
    with pytest.raises(errors.ObjectNotFound, match=r"c0.*metadata.*v1"):
        getattr(section, method)("metadata")
    with pytest.raises(errors.ObjectNotFound):
        section.verify("metadata", "quick")


def test_without_a_lease_nothing_is_written(bank, section):
    reading = bank.section("c0", PROJECT, VOLUME)
    with pytest.raises(ValueError, match="without a lease"):
        reading.put("metadata", {})
    with pytest.raises(ValueError, match="without a lease"):
        reading.write("data", [])


def test_what_is_no_json_is_refused(section):
    for value in ({"a": object()}, {"a": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            section.put("metadata", value)


def test_delete_removes_everything_of_the_resource_and_may_be_repeated(bank, lease, section):
    section.put("metadata", {})
    section.write("data", [os.urandom(5000)])
    section.write("data", [os.urandom(5000)])
    other = bank.section("c0", PROJECT, "T#other", lease=lease)
    other.put("metadata", {})
    for _ in range(2):
        bank.section("c0", PROJECT, VOLUME).delete()
        assert not bank.store.list(layout.resource_prefix("c0", VOLUME))
    assert other.get("metadata") == {}


def test_what_somebody_else_put_below_a_resource_is_not_seen_and_goes_with_it(bank, lease, section):
    prefix = layout.resource_prefix("c0", VOLUME)
    section.put("metadata", {"of": "ours"})
    section.write("data", [b"ours"])
    for name in ("stranger", "manifests/data/stranger", "documents/stranger/" + 32 * "0"):
        bank.store.put(prefix + name, b"stranger")
    assert (section.documents(), section.streams()) == (["metadata"], ["data"])
    bank.checkpoints.commit("c0", lease)
    assert banks.head_keys(bank, "c0")
    section.delete()
    assert not bank.store.list(prefix)


def test_a_base_without_the_stream_is_no_base(bank):
    with bank.leases.acquire(holder="test", bases=["c0"]) as lease:
        base = banks.new_section(bank, "c0", lease)
        section = banks.new_section(bank, "c1", lease)
        assert section.write("data", [b"x"], bases=[base]).new == 1


def test_an_earlier_attempt_can_be_built_on(bank, section):
    data = os.urandom(5000)
    section.write("data", [data])
    assert section.write("data", [data], bases=[section]).new == 0


def test_a_deleted_checkpoint_has_no_sections(bank):
    banks.protect(bank, "c0", b"x")
    before = bank.section("c0", PROJECT, VOLUME)
    bank.checkpoints.delete("c0")
    with pytest.raises((errors.Corrupted, errors.ObjectNotFound, exception.CheckpointNotFound)):
        before.read("data")


def test_verify_reports_progress_and_can_be_stopped(bank):
    section = banks.protect(bank, "c0", os.urandom(5000))
    done = []
    section.verify("data", "full", progress=done.append)
    assert done[-1] == 5000
    section.verify("data", "quick", progress=done.append)

    def stop():
        raise exception.Cancelled("enough")

    for level in ("quick", "full"):
        with pytest.raises(exception.Cancelled):
            section.verify("data", level, check=stop)
