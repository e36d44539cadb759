"""The status that events tell, and events that are damaged."""

import pytest

from karbor_like.bank import errors
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, alter, keys, read_available
from tests.unit.bank.reader import Reader


def test_the_last_event_says_the_status_also_when_the_clock_is_set_back(bank, clock):
    banks.protect(bank, "c1", DATA)
    for status in ("error", "available", "deleting", "error-deleting", "deleting"):
        clock.step(-3600)
        bank.checkpoints.event("c1", status, {"reason": status})
        record = bank.checkpoints.get("c1")
        assert record.status == status
        assert record.events[-1].detail == {"reason": status}
    seqs = [event.seq for event in record.events]
    assert seqs == sorted(set(seqs))


def test_a_commit_without_claim_is_valid_if_it_is_the_only_one(shared, clock):
    """Early versions wrote no claim."""
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)

    def without_claim(body):
        assert body.pop("claim") == 0
        return body

    alter(shared, keys(shared, "checkpoints/c1/events/")[-1], without_claim)
    assert bank.checkpoints.get("c1").events[-1].claim == -1
    assert read_available(bank) == DATA
    assert Reader({key: shared.get(key) for key in keys(shared)}, {}).stream("c1", banks.VOLUME, "data") == DATA


@pytest.mark.parametrize(
    "change",
    [
        lambda pins: [*pins],
        lambda pins: {**pins, "checkpoints/c1/resources/r/documents/d/": "checkpoints/c1/plan.json"},
        lambda pins: dict.fromkeys(pins, 1),
        lambda pins: {prefix: key.replace("c1", "c2") for prefix, key in pins.items()},
        lambda pins: {prefix.replace("c1", "c2"): key.replace("c1", "c2") for prefix, key in pins.items()},
        lambda pins: {prefix: key + "0" for prefix, key in pins.items()},
        lambda pins: {prefix + "more/": key for prefix, key in pins.items()},
    ],
)
def test_a_commit_with_impossible_pins_is_damaged(shared, clock, change):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    alter(shared, keys(shared, "checkpoints/c1/events/")[-1], lambda body: {**body, "pins": change(body["pins"])})
    with pytest.raises(errors.Corrupted, match="members of the event are missing or of the wrong type"):
        bank.checkpoints.get("c1")


def test_foreign_objects_among_the_events_are_ignored(shared, clock):
    bank = banks.make_bank(shared, clock=clock, encrypted=False)
    banks.protect(bank, "c1", DATA)
    shared.put("checkpoints/c1/events/zzz", b"not ours")
    assert read_available(bank) == DATA
