"""Pages of the index, and its repair."""

import dataclasses
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.bank import layout
from karbor_like.bank.checkpoints.index import IndexEntry
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, another, keys


def entries(bank, count, rng):
    """Index *count* empty checkpoints of some projects, providers and plans."""
    made = []
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with bank.leases.acquire(holder="one"):
        for number in range(count):
            record = dataclasses.replace(
                banks.record(f"c{number:03d}", rng.choice(["p1", "p2"])),
                provider_id=rng.choice(["a", "b"]),
                plan={"id": rng.choice(["x", "y"])},
                created_at=start + timedelta(hours=rng.randrange(50)),
            )
            bank.checkpoints.index.put(record)
            made.append(
                IndexEntry(record.id, record.project_id, record.provider_id, record.plan["id"], record.created_at)
            )
    return made


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "project_id": st.sampled_from(["p1", "p2", "p3"]),
        "provider_id": st.sampled_from(["a", "b"]),
        "plan_id": st.sampled_from(["x", "y"]),
        "start_date": st.datetimes(datetime(2029, 12, 31), datetime(2030, 1, 4)).map(lambda d: d.replace(tzinfo=UTC)),
        "end_date": st.datetimes(datetime(2029, 12, 31), datetime(2030, 1, 4)).map(lambda d: d.replace(tzinfo=UTC)),
        "newest_first": st.booleans(),
    },
)


@given(FILTERS, st.integers(1, 7), st.integers(0, 30), st.randoms(use_true_random=False))
def test_pages_together_are_all_that_fits_in_order(filters, limit, count, rng):
    bank = banks.make_bank(encrypted=False)
    made = entries(bank, count, rng)
    newest = filters.get("newest_first", True)
    expected = [
        entry
        for entry in sorted(made, key=lambda entry: entry.created_at, reverse=newest)
        if all(getattr(entry, name) == filters[name] for name in filters if name.endswith("_id"))
        and filters.get("start_date", entry.created_at) <= entry.created_at <= filters.get("end_date", entry.created_at)
    ]
    found = []
    while page := bank.checkpoints.index.list(**filters, limit=limit, marker=found[-1] if found else None):
        assert len(page) <= limit
        found += page
        if len(page) < limit:
            break
    assert [entry.created_at for entry in found] == [entry.created_at for entry in expected]
    assert sorted(found, key=lambda entry: entry.id) == sorted(expected, key=lambda entry: entry.id)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("filters", [{}, {"provider_id": "a"}, {"project_id": "p1"}, {"plan_id": "x"}])
def test_a_page_costs_one_listing(clock, shared, filters, newest_first):
    made = entries(banks.make_bank(shared, clock=clock), 60, random.Random(3))
    bank, store = another(shared, clock)
    first = bank.checkpoints.index.list(limit=5, newest_first=newest_first, **filters)
    assert store.calls == 1
    middle = sorted(entry.created_at for entry in made)[20]
    bank.checkpoints.index.list(limit=5, newest_first=newest_first, marker=first[-1], start_date=middle, **filters)
    assert store.calls == 2


def test_a_marker_may_be_an_id(bank):
    for name in ("c1", "c2", "c3"):
        banks.protect(bank, name, DATA)
    assert [entry.id for entry in bank.checkpoints.index.list(marker="c2", newest_first=False)] == ["c3"]
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.index.list(marker="c9")


def test_foreign_keys_in_the_index_are_skipped(bank, shared):
    banks.protect(bank, "c1", DATA)
    shared.put("indices/by-date/newest/0-strange", b"")
    assert [entry.id for entry in bank.checkpoints.index.list()] == ["c1"]


def test_a_plan_that_cannot_be_indexed_does_not_stop_the_others(bank, shared, caplog):
    for name, changes in (
        ("c1", {"plan": {"name": "without an id"}}),
        ("c2", {"plan": {"id": "p" * 300}}),
        ("c3", {}),
    ):
        record = dataclasses.replace(banks.record(name), **changes)
        with bank.leases.acquire(holder="test") as lease:
            bank.checkpoints.begin(record, lease)
    assert bank.checkpoints.index.rebuild() == 1
    assert "Checkpoint c1 is not indexed" in caplog.text
    assert "Checkpoint c2 is not indexed" in caplog.text


def test_missing_index_keys_are_put_again(bank, shared, caplog):
    for name in ("c1", "c2", "c3", "c4"):
        banks.protect(bank, name, DATA)
    before = [key for key in keys(shared, "indices/") if not key.endswith(("@c3", "@c4"))]
    assert bank.checkpoints.index.rebuild() == 0
    shared.put(layout.tombstone_key("c3"), b"")
    shared.put(layout.plan_key("c4"), b"no plan")
    shared.put("checkpoints/=stranger/plan.json", b"{}")
    for key in keys(shared, "indices/"):
        if not key.endswith("@c1") or "/by-plan/" in key:
            shared.delete(key)
    assert bank.checkpoints.index.rebuild() == 2
    assert keys(shared, "indices/") == before
    assert bank.checkpoints.index.rebuild() == 0
    assert "Checkpoint c4 is not indexed" in caplog.text
    assert "checkpoints/=stranger: " in caplog.text


def test_a_foreign_object_does_not_lead_a_listing_back():
    bank = banks.make_bank()
    banks.protect(bank, "c1", DATA)
    (key,) = [info.key for info in bank.store.list(layout.index_prefix("by-date", None, layout.NEWEST))]
    directory, _, name = key.rpartition("/")
    bank.store.put(f"{directory}/z/newest/{name}", b"")
    page = bank.checkpoints.index.list()
    assert [entry.id for entry in page] == ["c1"]
    assert bank.checkpoints.index.list(marker=page[-1]) == []
