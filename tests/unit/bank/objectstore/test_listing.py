"""Listings read all pages, list each object once, and skip what they do not need."""

import logging

import hypothesis
import pytest
from hypothesis import strategies

from karbor_like.bank import errors
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures.stores import FaultyStore

ROOT = "data/"

#: Segments of which some begin like others, with characters on both sides of the slash in the order of keys.
segment = strategies.text("a-.0", min_size=1, max_size=3).filter(lambda text: not text.startswith("."))
keys = strategies.lists(strategies.lists(segment, min_size=1, max_size=3).map("/".join), max_size=40, unique=True)


@hypothesis.given(keys, strategies.integers(1, 7))
def test_everything_is_listed_once_and_in_order_for_every_page_size(paths, page):
    store = MemoryStore(ManualClock())
    # No key is also the folder of another key.
    names = sorted(ROOT + path for path in paths if not any(other.startswith(f"{path}/") for other in paths))
    for name in names:
        store.put(name, b"")
    assert [info.key for info in listing.objects(store, ROOT, page_size=page)] == names
    for number, name in enumerate(names):
        assert [info.key for info in listing.objects(store, ROOT, name, page)] == names[number + 1 :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_PAGE", page)
        assert list(listing.segments(store, ROOT)) == list(dict.fromkeys(name.split("/")[1] for name in names))


def test_segments_with_many_objects_are_skipped(shared, clock):
    for folder in ("a", "b", "c"):
        for number in range(5000):
            shared.put(f"{ROOT}{folder}/{number:04d}", b"")
    store = FaultyStore(shared, clock)
    assert list(listing.segments(store, ROOT)) == ["a", "b", "c"]
    assert store.calls == 4


def test_many_segments_with_few_objects_share_a_page(shared, clock):
    for folder in range(500):
        for name in ("x", "y"):
            shared.put(f"{ROOT}{folder:04d}/{name}", b"")
    store = FaultyStore(shared, clock)
    assert list(listing.segments(store, ROOT)) == [f"{folder:04d}" for folder in range(500)]
    assert store.calls == 2


def test_foreign_objects_are_skipped_with_a_warning(shared, caplog):
    def parse(key):
        if "foreign" in key:
            raise errors.InvalidKey("not a key")
        return key.upper()

    shared.put("data/1", b"")
    shared.put("data/foreign", b"")
    with caplog.at_level(logging.WARNING):
        assert [what for _, what in listing.parsed(shared, ROOT, parse)] == ["DATA/1"]
    assert "data/foreign: is a foreign object" in caplog.text
