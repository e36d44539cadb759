"""Versions of a name are numbered without gaps, also if puts fail."""

import pytest

from karbor_like.bank import errors
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import another, keys


def numbers(store):
    """Return the numbers of the versions of all documents."""
    return [int(key[-3:]) for key in keys(store, "checkpoints/c1/resources/") if "/documents/" in key]


@pytest.mark.parametrize(("fault", "expected"), [(stores.FAIL, [0]), (stores.LOSE, [0, 1])], ids=repr)
def test_a_put_that_failed_leaves_no_gap(shared, clock, fault, expected):
    bank, store = another(shared, clock)
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        store.inject(fault, op="put", prefix="checkpoints/c1/resources/")
        with pytest.raises(errors.ConnectionFailed):
            section.put("metadata", {"n": 1})
        section.put("metadata", {"n": 2})
        assert numbers(shared) == expected
        assert section.get("metadata") == {"n": 2}
        bank.checkpoints.commit("c1", lease)
    assert bank.section("c1", banks.PROJECT, banks.VOLUME).get("metadata") == {"n": 2}


def test_what_a_writer_stored_is_valid_even_if_the_answer_was_lost(shared, clock):
    bank, store = another(shared, clock)
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        store.inject(stores.LOSE, op="put", prefix="checkpoints/c1/resources/")
        with pytest.raises(errors.ConnectionFailed):
            section.put("metadata", {"n": 1})
        assert section.get("metadata") == {"n": 1}


def test_a_writer_numbers_from_the_start_after_a_deletion(bank, shared):
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        for number in range(3):
            section.put("metadata", {"n": number})
        section.delete()
        with pytest.raises(errors.ObjectNotFound):
            section.get("metadata")
        section.put("metadata", {"n": 3})
        assert numbers(shared) == [0]
        bank.checkpoints.commit("c1", lease)
    assert bank.section("c1", banks.PROJECT, banks.VOLUME).get("metadata") == {"n": 3}


def test_sections_of_one_writer_number_together(shared, clock):
    first = banks.make_bank(shared, clock=clock)
    second = banks.make_bank(shared, clock=clock)
    with first.leases.acquire(holder="one") as lease:
        banks.new_section(first, "c1", lease).put("metadata", {"n": 1})
        second.section("c1", banks.PROJECT, banks.VOLUME, lease=lease).put("metadata", {"n": 2})
        first.section("c1", banks.PROJECT, banks.VOLUME, lease=lease).put("metadata", {"n": 3})
        first.checkpoints.commit("c1", lease)
    assert numbers(shared) == [0, 1, 2]
    assert first.section("c1", banks.PROJECT, banks.VOLUME).get("metadata") == {"n": 3}
