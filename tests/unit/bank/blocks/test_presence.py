"""Looking up packs in listings."""

import pytest

from karbor_like.bank import layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.unit.bank.banks import PROJECT

PACK = "a" * 31 + "f"


@pytest.mark.parametrize("found", [True, False])
def test_foreign_objects_that_fill_pages_before_a_pack_do_not_keep_it_from_being_found(found):
    store = MemoryStore()
    prefix = layout.packs_prefix(PROJECT)
    for number in range(2500):
        store.put(f"{prefix}{PACK[:-1]}0{number:04d}", b"")
    if found:
        store.put(f"{prefix}{PACK}", b"pack")
    requests = []

    def check() -> None:
        requests.append(1)
        assert len(requests) < 10, "it makes no progress"

    problems = list(presence.broken_packs(store, PROJECT, {PACK: 4, "b" * 32: 4}, check))
    assert [name for name, _ in problems] == ([] if found else [PACK]) + ["b" * 32]
