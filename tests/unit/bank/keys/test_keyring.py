import threading

import pytest

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.leases import exclusions
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures.stores import CORRUPT, EventualStore, FaultyStore
from tests.unit.bank import banks
from tests.unit.bank.banks import PROJECT, master_key
from tests.unit.bank.keys.rings import NEW, OLD, keyring, wrapped


def test_a_project_gets_one_key_and_keeps_it(bank, lease):
    first = bank.keyring.current(PROJECT, lease)
    assert bank.keyring.current(PROJECT, lease) is first
    reread = keyring(bank.store).current(PROJECT, lease)
    assert (reread.id, reread.material) == (first.id, first.material)
    assert wrapped(bank.store) == [(PROJECT, first.id, "old")]


def test_projects_have_different_keys(bank, lease):
    first, second = bank.keyring.current("a/b", lease), bank.keyring.current("a", lease)
    assert first.material != second.material
    assert {project for project, _, _ in wrapped(bank.store)} == {"a/b", "a"}


def test_a_key_is_not_stored_in_clear_and_not_shown(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    (info,) = bank.store.list("keys/")
    assert key.material not in bank.store.get(info.key)
    assert repr(key.material) not in repr(key)
    assert key.material.hex() not in repr(key)


def test_derived_keys_differ(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    assert len({key.material, key.pack_key(bytes(16)), key.pack_key(b"x" * 16)}) == 3
    assert key.block_hash(b"block") != banks.make_bank().keyring.current(PROJECT, lease).block_hash(b"block")


def test_of_two_keys_that_were_created_concurrently_all_writers_choose_the_same(bank, lease):
    """Two processes that do not see each other's key yet."""
    other_store = MemoryStore()
    first, second = bank.keyring.current(PROJECT, lease), keyring(other_store).current(PROJECT, lease)
    (info,) = other_store.list("keys/")
    bank.store.put(info.key, other_store.get(info.key))
    chosen = {keyring(bank.store).current(PROJECT, lease).id for _ in range(3)}
    assert chosen == {min(first.id, second.id)}
    for key in (first, second):
        assert keyring(bank.store).get(PROJECT, key.id).material == key.material


def test_a_listing_that_lags_makes_no_second_key_in_the_same_process(bank, lease):
    ring = keyring(EventualStore(bank.store, bank.clock, 1000))
    first = ring.current(PROJECT, lease)
    with bank.leases.acquire(holder="later") as later:
        assert ring.current(PROJECT, later) is first


def test_a_key_that_is_about_to_be_deleted_is_not_used_for_new_data(bank):
    with bank.leases.acquire(holder="test") as lease:
        first = bank.keyring.current(PROJECT, lease)
    exclusions.put_lists(bank.store.put, layout.QUARANTINE, PROJECT, packs=[], data_keys=[first.id])
    with bank.leases.acquire(holder="test") as lease:
        assert bank.keyring.current(PROJECT, lease).id != first.id


def test_a_key_that_was_deleted_is_not_used_for_new_data(bank):
    with bank.leases.acquire(holder="test") as lease:
        first = bank.keyring.current(PROJECT, lease)
    bank.store.delete(layout.wrapped_key(PROJECT, first.id, "old"))
    with bank.leases.acquire(holder="test") as lease:
        assert bank.keyring.current(PROJECT, lease).id != first.id


def test_threads_get_the_same_key(bank, lease):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(bank.keyring.current(PROJECT, lease))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.id for key in keys}) == 1


def test_a_key_that_fails_its_read_back_is_not_used():
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    with bank.leases.acquire(holder="test") as lease:
        store.inject(CORRUPT, op="get", prefix="keys/")
        with pytest.raises(errors.Corrupted, match="keys/"):
            bank.keyring.current(PROJECT, lease)


# Missing and wrong keys.


def test_a_missing_master_key_is_named_and_no_new_data_key_takes_its_place(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    other = keyring(bank.store, NEW)
    with pytest.raises(errors.KeyUnavailable, match="old"):
        other.current(PROJECT, lease)
    with pytest.raises(errors.KeyUnavailable, match=f"{key.id}.*new"):
        other.get(PROJECT, key.id)


def test_a_rotation_that_no_listing_shows_yet_makes_the_old_master_key_dispensable(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    eventual = EventualStore(bank.store, bank.clock, 1000, always=True)
    keyring(eventual, NEW, OLD).rotate(remove_old=True)
    assert [master for _, _, master in wrapped(eventual)] == ["old"]
    assert keyring(eventual, NEW).current(PROJECT, lease) == key


def test_a_wrong_master_key_is_detected(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    with pytest.raises(errors.KeyUnavailable, match=key.id):
        keyring(bank.store, master_key("old", 9)).get(PROJECT, key.id)


@pytest.mark.parametrize("seal_id", ["", "nothing", "p/../x", "p/" + "0" * 31, "=/" + "0" * 32])
def test_malformed_ids_are_refused(bank, seal_id):
    with pytest.raises((errors.Corrupted, errors.KeyUnavailable, errors.InvalidKey)):
        bank.keyring.resolve_key(seal_id)


def test_a_wrapping_under_another_projects_name_does_not_open(bank, lease):
    key = bank.keyring.current("a", lease)
    bank.store.put(layout.wrapped_key("b", key.id, "old"), bank.store.get(layout.wrapped_key("a", key.id, "old")))
    with pytest.raises(errors.KeyUnavailable, match="altered"):
        bank.keyring.get("b", key.id)


def test_a_keyring_needs_a_master_key():
    with pytest.raises(exception.ConfigurationError, match="master_keys"):
        Keyring(MemoryStore(), ConfiguredMasterKeys([]))
