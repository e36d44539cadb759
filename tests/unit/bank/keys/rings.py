"""Keyrings for the tests of this folder."""

from collections.abc import Sequence

from karbor_like.bank import layout
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.objectstore.base import ObjectStore
from tests.unit.bank.banks import master_key

OLD, NEW = master_key("old", 1), master_key("new", 2)


def keyring(store: ObjectStore, *lines: str) -> Keyring:
    """A keyring with the master keys *lines*; without them, with OLD."""
    return Keyring(store, ConfiguredMasterKeys(lines or (OLD,)))


def wrapped(store: ObjectStore) -> Sequence[tuple[str, str, str]]:
    """Project, data key and master key of every wrapped data key that a listing shows."""
    return [layout.parse_wrapped_key(info.key) for info in store.list("keys/")]
