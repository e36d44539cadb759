"""Creation, status and deletion of checkpoints."""

import dataclasses

import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.index import IndexEntry
from karbor_like.bank.leases.safety import TEST
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, keys


def test_a_checkpoint_is_found_as_it_was_made(bank, clock):
    record = dataclasses.replace(
        banks.record("c1"),
        extra_info={"created_by": "ünïcode \ud800"},
        created_at=clock.now(),
        resource_graph="[{}, []]",
    )
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(record, lease)
        bank.checkpoints.create(record, lease)
    found = bank.checkpoints.get("c1")
    assert found == record
    assert [event.status for event in found.events] == ["protecting"]
    assert bank.checkpoints.index.list() == [IndexEntry("c1", banks.PROJECT, "provider-1", "plan-1", clock.now())]


def test_a_checkpoint_that_was_only_begun_exists_and_is_not_listed(bank):
    with bank.leases.acquire(holder="call") as lease:
        bank.checkpoints.begin(banks.record("c1"), lease)
        bank.checkpoints.begin(banks.record("c1"), lease)
    assert bank.checkpoints.get("c1").status == "protecting"
    assert bank.checkpoints.index.list() == []
    with bank.leases.acquire(holder="operation") as lease:
        bank.checkpoints.create(banks.record("c1"), lease)
    assert [event.status for event in bank.checkpoints.get("c1").events] == ["protecting"]
    assert [entry.id for entry in bank.checkpoints.index.list()] == ["c1"]


def test_a_checkpoint_that_was_only_begun_can_fail_and_be_deleted(bank, shared):
    with bank.leases.acquire(holder="call") as lease:
        bank.checkpoints.begin(banks.record("c1"), lease)
    bank.checkpoints.event("c1", "error")
    assert bank.checkpoints.get("c1").status == "error"
    bank.checkpoints.delete("c1")
    assert keys(shared, "checkpoints/") == [layout.tombstone_key("c1")]
    with bank.leases.acquire(holder="call") as lease, pytest.raises(exception.Conflict):
        bank.checkpoints.begin(banks.record("c1"), lease)


def test_another_checkpoint_of_the_same_id_is_refused(bank):
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(banks.record("c1"), lease)
        with pytest.raises(exception.Conflict, match="checkpoint c1: the bank already has another checkpoint"):
            bank.checkpoints.create(banks.record("c1", "project-2"), lease)


def test_a_copy_begins_with_its_own_status(bank):
    with bank.leases.acquire(holder="one") as lease:
        bank.checkpoints.create(dataclasses.replace(banks.record("c1"), status="wait_copying"), lease)
        assert bank.checkpoints.get("c1").status == "wait_copying"
        bank.checkpoints.event("c1", "copying")
        bank.checkpoints.commit("c1", lease, {"copied_from": "c0"})
    record = bank.checkpoints.get("c1")
    assert record.status == "available"
    assert record.events[-1].detail == {"copied_from": "c0"}


def test_an_expired_lease_creates_no_checkpoint(bank, clock, shared):
    lease = bank.leases.acquire(holder="one")
    clock.advance(TEST.lease_duration)
    with pytest.raises(errors.LeaseLost):
        bank.checkpoints.create(banks.record("c1"), lease)
    assert not keys(shared, "checkpoints/")


def test_an_unknown_checkpoint_is_not_found_and_can_be_deleted(bank):
    with pytest.raises(exception.CheckpointNotFound, match="no checkpoint c1 in the bank"):
        bank.checkpoints.get("c1")
    bank.checkpoints.delete("c1")
    assert list(bank.checkpoints.ids()) == []


@pytest.mark.parametrize("status", ["deleted", "restoring", ""])
def test_a_status_that_cannot_be_given_is_refused(bank, status):
    banks.protect(bank, "c1", DATA)
    with pytest.raises(exception.InvalidInput):
        bank.checkpoints.event("c1", status)


def test_what_was_never_completed_cannot_be_made_available(bank):
    with bank.leases.acquire(holder="one") as lease:
        banks.new_section(bank, "c1", lease).write("data", [DATA])
        bank.checkpoints.event("c1", "error")
    with pytest.raises(exception.Conflict, match="never completed"):
        bank.checkpoints.event("c1", "available")


@pytest.mark.parametrize("gone", ["data/", "checkpoints/c1/resources/"])
def test_what_is_not_whole_any_more_cannot_be_made_available(bank, shared, gone):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.event("c1", "error-deleting")
    shared.delete(keys(shared, gone)[0])
    with pytest.raises(errors.Corrupted, match="is missing"):
        bank.checkpoints.event("c1", "available")
    assert bank.checkpoints.get("c1").status == "error-deleting"


def test_deleting_leaves_a_tombstone_and_what_the_collector_owns(bank, shared):
    banks.protect(bank, "c1", DATA)
    bank.checkpoints.delete("c1")
    assert {key.split("/")[0] for key in keys(shared)} <= {"checkpoints", "data", "keys", "leases"}
    assert keys(shared, "checkpoints/") == [layout.tombstone_key("c1")]
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.get("c1")
    assert bank.checkpoints.index.list() == []
    bank.checkpoints.delete("c1")


def test_a_checkpoint_whose_plan_cannot_be_read_can_be_deleted(bank, shared):
    banks.protect(bank, "c1", DATA)
    shared.put(layout.plan_key("c1"), b"rubbish")
    with pytest.raises(errors.Corrupted, match="checkpoints/c1/plan.json"):
        bank.checkpoints.get("c1")
    bank.checkpoints.delete("c1")
    assert keys(shared, "checkpoints/") == [layout.tombstone_key("c1")]


def test_what_was_deleted_while_it_was_made_stays_deleted(bank, shared):
    with bank.leases.acquire(holder="one") as lease:
        section = banks.new_section(bank, "c1", lease)
        section.write("data", [DATA])
        shared.put(layout.tombstone_key("c1"), b"")
        for attempt in (
            lambda: bank.checkpoints.commit("c1", lease),
            lambda: bank.checkpoints.create(banks.record("c1"), lease),
            lambda: bank.checkpoints.event("c1", "error"),
        ):
            with pytest.raises(exception.Conflict):
                attempt()


def test_every_checkpoint_is_found_without_index(bank, shared):
    ids = ["c1", "c1.x", "c10", "c1 ä", "c2"]
    with bank.leases.acquire(holder="one") as lease:
        for name in ids:
            banks.new_section(bank, name, lease).put("metadata", {})
    for key in keys(shared, "indices/"):
        shared.delete(key)
    assert sorted(bank.checkpoints.ids()) == sorted(ids)
