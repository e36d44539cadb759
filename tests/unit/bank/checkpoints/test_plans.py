"""Plans and events belong to one checkpoint of one project, and their times are timestamps."""

import pytest

from karbor_like.bank import errors
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, NEXT, alter, keys


@pytest.mark.parametrize("part", ["plan.json", "events/"])
def test_objects_of_a_checkpoint_are_bound_to_it(shared, clock, encrypted, part):
    bank = banks.make_bank(shared, clock=clock, encrypted=encrypted)
    banks.protect(bank, "c1", DATA)
    banks.protect(bank, "c2", NEXT)
    one, two = keys(shared, f"checkpoints/c1/{part}")[-1], keys(shared, f"checkpoints/c2/{part}")[-1]
    shared.put(one, shared.get(two))
    with pytest.raises(errors.Corrupted, match=one):
        bank.checkpoints.get("c1")
    assert bank.checkpoints.get("c2").status == "available"


@pytest.mark.parametrize("part", ["plan.json", "events/"])
def test_a_checkpoint_cannot_be_signed_with_another_projects_key(shared, clock, part):
    bank = banks.make_bank(shared, clock=clock)
    banks.protect(bank, "c1", DATA, project_id="mallory")
    forged = {key: shared.get(key) for key in keys(shared, f"checkpoints/c1/{part}")}
    other = MemoryStore(clock)
    for key in keys(shared, "keys/"):
        other.put(key, shared.get(key))
    bank = banks.make_bank(other, clock=clock)
    banks.protect(bank, "c1", DATA, project_id="alice")
    for key, data in forged.items():
        other.put(key, data)
    with pytest.raises(errors.Corrupted, match="sealed with the key|of project"):
        bank.checkpoints.get("c1")


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00", "yesterday", "", 1, None])
@pytest.mark.parametrize(("name", "member"), [("plan.json", "created_at"), ("events/", "at")])
def test_a_time_that_is_not_a_timestamp_is_damage(shared, clock, name, member, value):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    alter(shared, keys(shared, f"checkpoints/c1/{name}")[-1], lambda body: {**body, member: value})
    with pytest.raises(errors.Corrupted, match=f"^checkpoints/c1/{name}"):
        bank.checkpoints.get("c1")
