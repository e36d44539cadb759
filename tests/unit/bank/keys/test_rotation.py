import pytest

from karbor_like.bank import layout
from karbor_like.bank.format import seal
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from tests.fixtures.stores import EventualStore, FaultyStore
from tests.unit.bank import banks
from tests.unit.bank.banks import PROJECT, master_key
from tests.unit.bank.keys.rings import NEW, OLD, keyring, wrapped


def test_rotation_wraps_again_and_rewrites_no_data(bank, lease):
    section = banks.protect(bank, "c0", b"data" * 100)
    before = {info.key: bank.store.get(info.key) for info in bank.store.list("")}
    (data_key,) = {data_key for _, data_key, _ in wrapped(bank.store)}
    both = banks.make_bank(bank.store, masters=(NEW, OLD))
    done = []
    rotation = both.keyring.rotate(progress=done.append)
    assert (rotation.wrapped, rotation.already, rotation.failed, done) == (1, 0, [], [1])
    after = {info.key: bank.store.get(info.key) for info in bank.store.list("")}
    assert after.items() > before.items()
    assert set(after) - set(before) == {layout.wrapped_key(PROJECT, data_key, "new")}
    assert both.keyring.rotate().already == 1
    only_new = banks.make_bank(bank.store, masters=(NEW,))
    assert banks.read(only_new.section("c0", PROJECT, banks.VOLUME)) == b"data" * 100
    assert banks.read(section) == b"data" * 100


def test_rotation_can_remove_what_the_old_key_wrapped(bank, lease):
    bank.keyring.current(PROJECT, lease)
    rotation = keyring(bank.store, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.removed) == (1, 1)
    assert [master for _, _, master in wrapped(bank.store)] == ["new"]


def test_rotation_continues_after_a_key_that_cannot_be_opened(bank, lease):
    bank.keyring.current("a", lease)
    bank.keyring.current("b", lease)
    (name, _) = [info.key for info in bank.store.list("keys/")]
    bank.store.put(name, b"damaged")
    rotation = keyring(bank.store, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.removed) == (1, 1)
    assert name.rpartition("/")[0] in rotation.failed[0]
    assert bank.store.get(name) == b"damaged"


def test_a_wrapping_that_is_damaged_does_not_matter_while_another_opens(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    keyring(bank.store, NEW, OLD).rotate()
    bank.store.put(layout.wrapped_key(PROJECT, key.id, "new"), b"damaged")
    assert keyring(bank.store, NEW, OLD).get(PROJECT, key.id).material == key.material


@pytest.mark.parametrize(
    "raw",
    [pytest.param(b"damaged", id="damaged"), pytest.param(None, id="other material of the same name on another host")],
)
def test_old_wrappings_stay_if_the_new_one_does_not_open(bank, lease, raw):
    key = bank.keyring.current(PROJECT, lease)
    kept = layout.wrapped_key(PROJECT, key.id, "new")
    keyring(bank.store, master_key("new", 9), OLD).rotate()
    if raw:
        bank.store.put(kept, raw)
    before = bank.store.get(kept)
    rotation = keyring(bank.store, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.already, rotation.removed) == (0, 0, 0)
    assert [kept in failed for failed in rotation.failed] == [True]
    assert bank.store.get(kept) == before
    assert keyring(bank.store, OLD).get(PROJECT, key.id).material == key.material


def test_other_material_that_no_listing_shows_yet_is_not_overwritten(bank, lease):
    """Another host, which has another master key under the same name, wrapped the key a moment ago."""
    key = bank.keyring.current(PROJECT, lease)
    eventual = EventualStore(bank.store, bank.clock, 1000)
    keyring(eventual, master_key("new", 9), OLD).rotate()
    assert [master for _, _, master in wrapped(eventual)] == ["old"]
    rotation = keyring(eventual, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.removed, len(rotation.failed)) == (0, 0, 1)
    assert keyring(bank.store, master_key("new", 9)).get(PROJECT, key.id).material == key.material


def test_a_wrapping_that_only_a_listing_still_shows_is_restored_before_others_are_deleted(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    keyring(bank.store, NEW, OLD).rotate()
    eventual = EventualStore(bank.store, bank.clock, 1000)
    eventual.delete(layout.wrapped_key(PROJECT, key.id, "new"))
    assert [master for _, _, master in wrapped(eventual)] == ["new", "old"]
    rotation = keyring(eventual, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.already, rotation.removed) == (1, 0, 1)
    assert keyring(bank.store, NEW).get(PROJECT, key.id).material == key.material


def test_a_wrapping_of_another_data_key_does_not_take_the_place_of_the_old_one(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    kept = layout.wrapped_key(PROJECT, key.id, "new")
    bank.store.put(kept, seal.seal(kept, bytes(32), ConfiguredMasterKeys([NEW]).get("new")))
    rotation = keyring(bank.store, NEW, OLD).rotate(remove_old=True)
    assert rotation.removed == 0
    assert kept in rotation.failed[0]
    assert keyring(bank.store, OLD).get(PROJECT, key.id).material == key.material


@pytest.mark.parametrize("nth", [1, 2])
def test_two_hosts_that_each_remove_what_the_other_keeps_leave_a_wrapping(bank, lease, nth):
    """The second host rotates, with the keys in reverse order, just before the n-th deletion of the first."""

    class Overtaken(FaultyStore):
        deletions = 0

        def delete(self, key):
            self.deletions += 1
            if self.deletions == nth:
                keyring(self.inner, OLD, NEW).rotate(remove_old=True)
            super().delete(key)

    kept = [bank.keyring.current(project, lease) for project in ("a", "b")]
    keyring(bank.store, NEW, OLD).rotate()
    keyring(Overtaken(bank.store), NEW, OLD).rotate(remove_old=True)
    for key in kept:
        assert keyring(bank.store, NEW, OLD).get(key.project_id, key.id).material == key.material
