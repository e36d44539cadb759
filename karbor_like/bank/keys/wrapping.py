"""Wrapped data keys: objects of the bank that hold a data key, sealed with a master key.

Their keys are ``keys/<project>/<data key>/<master key>``. Because they are in the bank itself, a restore needs nothing but
the bank and a master key.
"""

from collections.abc import Mapping

from karbor_like.bank import errors, layout
from karbor_like.bank.format import seal
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.masters import KEY_BYTES, MasterKey, MasterKeys
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore


class Wrappings:
    """The wrapped data keys of a bank. Thread-safe."""

    def __init__(self, store: ObjectStore, masters: MasterKeys) -> None:
        self._store = store
        self.masters = masters

    def list(self, project_id: str | None = None) -> Mapping[tuple[str, str], set[str]]:
        """List the data keys (of one project): project and id -> ids of the master keys that wrap it."""
        masters: dict[tuple[str, str], set[str]] = {}
        prefix = layout.wrapped_keys_prefix(project_id)
        for _, (project, data_key_id, master_id) in listing.parsed(self._store, prefix, layout.parse_wrapped_key):
            masters.setdefault((project, data_key_id), set()).add(master_id)
        return masters

    def wrap(self, key: DataKey, master: MasterKey) -> None:
        """Store *key* wrapped by *master*, and read it back."""
        name = layout.wrapped_key(key.project_id, key.id, master.id)
        self._store.put(name, seal.seal(name, key.material, master))
        # A lost key is lost data, so verify the object before anything depends on it.
        if self._open(name, self._store.get(name), master) != key.material:
            raise errors.Corrupted(f"{name}: reads back with other contents than were stored")

    def unwrap(self, project_id: str, data_key_id: str) -> DataKey:
        """Open a data key with any of the master keys.

        :raises ObjectNotFound: no configured master key wraps it
        :raises KeyUnavailable: none of its objects opens
        :raises KeyManagerUnavailable: the key manager, which has a master key that wraps it, does not answer
        """
        reasons = []
        for master_id in self.masters.ids():
            name = layout.wrapped_key(project_id, data_key_id, master_id)
            try:
                sealed = self._store.get(name)
                # Only now: a key that wraps nothing need not be fetched from a key manager.
                return DataKey(project_id, data_key_id, self._open(name, sealed, self.masters.get(master_id)))
            except errors.ObjectNotFound:
                continue
            except (errors.KeyUnavailable, errors.Corrupted) as error:
                reasons.append(str(error))
        if not reasons:
            raise errors.ObjectNotFound(
                f"data key {data_key_id} of project {project_id}: is not in the bank, or no configured master key wraps it;"
                f" configured are {', '.join(self.masters.ids())}"
            )
        raise errors.KeyUnavailable(
            f"data key {data_key_id} of project {project_id}: cannot be unwrapped: " + "; ".join(reasons)
        )

    def unwrap_with(self, project_id: str, data_key_id: str, master: MasterKey) -> DataKey:
        """Open a data key with *master*. Raises ObjectNotFound if *master* does not wrap it, or Corrupted."""
        name = layout.wrapped_key(project_id, data_key_id, master.id)
        return DataKey(project_id, data_key_id, self._open(name, self._store.get(name), master))

    def delete(self, key: DataKey, master_id: str) -> None:
        """Delete what the master key *master_id* wrapped. Raises ObjectNotFound."""
        self._store.delete(layout.wrapped_key(key.project_id, key.id, master_id))

    def _open(self, name: str, sealed: bytes, master: MasterKey) -> bytes:
        def resolve_key(seal_id: str) -> MasterKey:
            if seal_id != master.seal_id:
                raise errors.Corrupted(f"{name}: is wrapped with {seal_id[:300]!r}")
            return master

        material = seal.unseal(name, sealed, resolve_key)
        if len(material) != KEY_BYTES:
            raise errors.Corrupted(f"{name}: has {len(material)} bytes; expected {KEY_BYTES}")
        return material
