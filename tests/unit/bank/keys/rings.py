"""Keyrings for the tests of this folder."""

from collections.abc import Sequence

from karbor_like.bank import layout
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import ConfiguredMasterKeys
from karbor_like.bank.objectstore.base import ObjectStore
from tests.unit.bank.banks import master_key

OLD, NEW = master_key("old", 1), master_key("new", 2)


def keyring(store: ObjectStore, *lines: str) -> Keyring:
    """Create a keyring with the master keys *lines*, or with OLD."""
    return Keyring(store, ConfiguredMasterKeys(lines or (OLD,)))


def wrapped(store: ObjectStore) -> Sequence[tuple[str, str, str]]:
    """List project, data key and master key of every wrapped data key."""
    return [layout.parse_wrapped_key(info.key) for info in store.list("keys/")]
