import base64
import threading

import pytest
from castellan.common import exception as castellan_errors
from castellan.common.objects import symmetric_key
from castellan.key_manager import key_manager
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.format import seal
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import CastellanMasterKeys, ConfiguredMasterKeys
from karbor_like.bank.leases import exclusions
from karbor_like.bank.objectstore.memory import MemoryStore
from tests.fixtures.stores import CORRUPT, EventualStore, FaultyStore
from tests.unit.bank import banks
from tests.unit.bank.banks import PROJECT, master_key

OLD, NEW = master_key("old", 1), master_key("new", 2)


def keyring(store, *lines):
    return Keyring(store, ConfiguredMasterKeys(lines or (OLD,)))


@pytest.fixture
def bank():
    return banks.make_bank(masters=(OLD,))


@pytest.fixture
def lease(bank):
    with bank.leases.acquire(holder="test") as lease:
        yield lease


def wrapped(store):
    return [layout.parse_wrapped_key(info.key) for info in store.list("keys/")]


def test_a_project_gets_one_key_and_keeps_it(bank, lease):
    first = bank.keyring.current(PROJECT, lease)
    assert bank.keyring.current(PROJECT, lease) is first
    again = keyring(bank.store).current(PROJECT, lease)
    assert (again.id, again.material) == (first.id, first.material)
    assert wrapped(bank.store) == [(PROJECT, first.id, "old")]


def test_projects_have_different_keys(bank, lease):
    one, other = bank.keyring.current("a/b", lease), bank.keyring.current("a", lease)
    assert one.material != other.material
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


def test_of_two_keys_that_were_made_at_once_all_writers_choose_the_same(bank, lease):
    """Two processes that do not see each other's key yet."""
    other_store = MemoryStore()
    one, other = bank.keyring.current(PROJECT, lease), keyring(other_store).current(PROJECT, lease)
    (info,) = other_store.list("keys/")
    bank.store.put(info.key, other_store.get(info.key))
    chosen = {keyring(bank.store).current(PROJECT, lease).id for _ in range(3)}
    assert chosen == {min(one.id, other.id)}
    for key in (one, other):
        assert keyring(bank.store).get(PROJECT, key.id).material == key.material


def test_a_listing_that_lags_makes_no_second_key_in_the_same_process(bank, lease):
    first = bank.keyring.current(PROJECT, lease)

    class Blind(FaultyStore):
        def list(self, prefix, marker="", limit=1000):
            return []

    bank.keyring._store = Blind(bank.store)
    with bank.leases.acquire(holder="later") as later:
        assert bank.keyring.current(PROJECT, later) is first


def test_a_key_that_is_about_to_go_is_not_used_for_new_data(bank):
    with bank.leases.acquire(holder="test") as lease:
        first = bank.keyring.current(PROJECT, lease)
    exclusions.put_lists(bank.store, layout.QUARANTINE, PROJECT, packs=[], data_keys=[first.id])
    with bank.leases.acquire(holder="test") as lease:
        assert bank.keyring.current(PROJECT, lease).id != first.id


def test_a_key_that_is_gone_is_not_used_for_new_data(bank):
    with bank.leases.acquire(holder="test") as lease:
        first = bank.keyring.current(PROJECT, lease)
    bank.store.delete(layout.wrapped_key(PROJECT, first.id, "old"))
    with bank.leases.acquire(holder="test") as lease:
        assert bank.keyring.current(PROJECT, lease).id != first.id


def test_threads_get_the_same_key(bank, lease):
    found = []
    threads = [threading.Thread(target=lambda: found.append(bank.keyring.current(PROJECT, lease))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.id for key in found}) == 1


def test_a_key_that_does_not_read_back_is_not_used():
    store = FaultyStore(MemoryStore())
    bank = banks.make_bank(store)
    with bank.leases.acquire(holder="test") as lease:
        store.inject(CORRUPT, op="get", prefix="keys/")
        with pytest.raises(errors.Corrupted, match="keys/"):
            bank.keyring.current(PROJECT, lease)


# Rotation.


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


def test_rotation_goes_on_where_one_key_cannot_be_opened(bank, lease):
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
def test_old_wrappings_stay_where_the_new_one_does_not_open(bank, lease, raw):
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
    """Another host, whose master key of the same name is another one, wrapped a moment ago."""
    key = bank.keyring.current(PROJECT, lease)
    eventual = EventualStore(bank.store, bank.clock, 1000)
    keyring(eventual, master_key("new", 9), OLD).rotate()
    assert [master for _, _, master in wrapped(eventual)] == ["old"]
    rotation = keyring(eventual, NEW, OLD).rotate(remove_old=True)
    assert (rotation.wrapped, rotation.removed, len(rotation.failed)) == (0, 0, 1)
    assert keyring(bank.store, master_key("new", 9)).get(PROJECT, key.id).material == key.material


def test_a_wrapping_that_only_a_listing_still_shows_is_made_again_before_others_go(bank, lease):
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
    """The second host rotates, with the keys the other way round, just before the n-th deletion of the first."""

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


# What is missing or wrong.


def test_a_missing_master_key_is_named_and_no_new_data_key_takes_its_place(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    other = keyring(bank.store, NEW)
    with pytest.raises(errors.KeyUnavailable, match="old"):
        other.current(PROJECT, lease)
    with pytest.raises(errors.KeyUnavailable, match=f"{key.id}.*new"):
        other.get(PROJECT, key.id)


def test_a_wrong_master_key_is_found_out(bank, lease):
    key = bank.keyring.current(PROJECT, lease)
    with pytest.raises(errors.KeyUnavailable, match=key.id):
        keyring(bank.store, master_key("old", 9)).get(PROJECT, key.id)


@pytest.mark.parametrize("seal_id", ["", "nothing", "p/../x", "p/" + "0" * 31, "=/" + "0" * 32])
def test_ids_that_are_none_are_refused(bank, seal_id):
    with pytest.raises((errors.Corrupted, errors.KeyUnavailable, errors.InvalidKey)):
        bank.keyring.resolve_key(seal_id)


def test_a_wrapping_under_another_projects_name_does_not_open(bank, lease):
    key = bank.keyring.current("a", lease)
    bank.store.put(layout.wrapped_key("b", key.id, "old"), bank.store.get(layout.wrapped_key("a", key.id, "old")))
    with pytest.raises(errors.KeyUnavailable, match="altered"):
        bank.keyring.get("b", key.id)


@pytest.mark.parametrize(
    "line", ["", "m", "m:", ":" + "A" * 43 + "=", "m:not base64", "m:" + base64.b64encode(bytes(31)).decode()]
)
def test_lines_that_are_no_master_key_are_refused(line):
    with pytest.raises(exception.ConfigurationError, match="line 2"):
        ConfiguredMasterKeys([OLD, line])


def test_names_of_master_keys_are_unique():
    with pytest.raises(exception.ConfigurationError, match="line 2"):
        ConfiguredMasterKeys([OLD, master_key("old", 3)])


def test_a_keyring_needs_a_master_key():
    with pytest.raises(exception.ConfigurationError, match="master_keys"):
        Keyring(MemoryStore(), ConfiguredMasterKeys([]))


# A key manager.


class TwoKeys(key_manager.KeyManager):
    """A key manager that castellan loads by its name."""

    asked: list[str] = []

    def __init__(self, configuration):
        super().__init__(configuration)

    def get(self, context, managed_object_id, metadata_only=False):
        self.asked.append(managed_object_id)
        if managed_object_id == "down":
            raise castellan_errors.KeyManagerError(reason="it is down")
        length = 16 if managed_object_id == "short" else 32
        return symmetric_key.SymmetricKey("AES", length * 8, bytes(length))

    def _unused(self, *args, **kwargs):
        raise NotImplementedError

    create_key_pair = create_key = copy = delete = store = list = _unused
    add_consumer = remove_consumer = _unused


@pytest.fixture
def castellan_conf():
    from castellan import options

    TwoKeys.asked.clear()
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    options.set_defaults(conf)
    conf.set_override("backend", f"{__name__}.TwoKeys", group="key_manager")
    return conf


def test_master_keys_come_from_a_key_manager_once(castellan_conf, bank, lease):
    masters = CastellanMasterKeys(castellan_conf, ["id-1", "id-2"])
    ring = Keyring(bank.store, masters)
    key = ring.current(PROJECT, lease)
    ring.current("another", lease)
    assert TwoKeys.asked == ["id-1"]
    assert wrapped(bank.store)[0][2] == "id-1"
    assert Keyring(bank.store, CastellanMasterKeys(castellan_conf, ["id-1"])).get(PROJECT, key.id) == key


def test_a_key_manager_that_fails_is_no_missing_key(castellan_conf):
    with pytest.raises(errors.KeyUnavailable, match="down.*it is down"):
        CastellanMasterKeys(castellan_conf, ["down"]).get("down")


def test_a_key_of_another_length_is_refused(castellan_conf):
    with pytest.raises(exception.ConfigurationError, match="16 bytes"):
        CastellanMasterKeys(castellan_conf, ["short"]).get("short")


def test_keys_that_are_not_configured_are_not_asked_for(castellan_conf):
    with pytest.raises(errors.KeyUnavailable, match="other"):
        CastellanMasterKeys(castellan_conf, ["id-1"]).get("other")
    assert TwoKeys.asked == []
