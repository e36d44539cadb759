"""The keyring of a bank: which data key is used for new data, and the data keys that were unwrapped so far."""

import contextlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys import rotation
from karbor_like.bank.keys.masters import KEY_BYTES, MasterKeys
from karbor_like.bank.keys.rotation import Rotation
from karbor_like.bank.keys.wrapping import Wrappings
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import concurrently
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

_REMEMBERED_LEASES: Final = 64


class Keyring:
    """The data keys of a bank. Thread-safe.

    Two processes that create the first key of a project concurrently create two keys. Both stay valid, because everything
    names the key that it is encrypted with. Later writers use the one that sorts first.
    """

    def __init__(self, store: ObjectStore, masters: MasterKeys) -> None:
        if not masters.ids():
            raise exception.ConfigurationError(
                "[bank] encryption: is on, but there is no master key; set master_keys to the output of 'karbor-like-manage"
                " secret new-master-key NAME', or set encryption = false"
            )
        self._masters = masters
        self._wrappings = Wrappings(store, masters)
        self._keys: dict[tuple[str, str], DataKey] = {}
        self._current: OrderedDict[tuple[str, str], DataKey] = OrderedDict()
        self._lock = threading.RLock()

    def current(self, project_id: str, lease: Lease) -> DataKey:
        """Return the key for new data of a project under *lease*. Creates it if the project has none.

        The collector deletes data keys that are no longer in use. A cached key is therefore used only under the lease for
        which it was chosen, and a key that is about to be deleted is not chosen. Raises KeyUnavailable.
        """
        with self._lock:
            key = self._current.get((project_id, lease.id))
            if key is None:
                key = self._current[project_id, lease.id] = self._choose(project_id, lease)
                if len(self._current) > _REMEMBERED_LEASES:
                    self._current.popitem(last=False)
            return key

    def _choose(self, project_id: str, lease: Lease) -> DataKey:
        # The listing may be older than what the lists say: it only tells which keys to ask for, and they are asked for after
        # the lists were read.
        avoid, listed = concurrently.both(
            lambda: lease.avoid_data_keys(project_id), lambda: self._wrappings.list(project_id)
        )
        # A listing may not show yet what this process wrote; a key that this process knows may have been deleted since.
        cached = {ids: {self._masters.ids()[0]} for ids in self._keys if ids[0] == project_id}
        candidates = {**cached, **listed}
        for (_, data_key_id), master_ids in sorted(candidates.items()):
            if data_key_id in avoid:
                continue
            # Asked for before the listing is believed, which may not show yet how a rotation has wrapped the key.
            with contextlib.suppress(errors.ObjectNotFound):
                return self._remember(self._wrappings.unwrap(project_id, data_key_id))
            if master_ids.isdisjoint(self._masters.ids()):
                raise errors.KeyUnavailable(
                    f"data key {data_key_id} of project {project_id}: is wrapped with the master key"
                    f" {' or '.join(sorted(master_ids))}, which is not configured"
                )
        return self._create(project_id)

    def _create(self, project_id: str) -> DataKey:
        key = DataKey(project_id, secrets.token_hex(16), secrets.token_bytes(KEY_BYTES))
        self._wrappings.wrap(key, self._masters.get(self._masters.ids()[0]))
        LOG.info("data key %s of project %s: created", key.id, project_id)
        return self._remember(key)

    def _remember(self, key: DataKey) -> DataKey:
        return self._keys.setdefault((key.project_id, key.id), key)

    def get(self, project_id: str, data_key_id: str) -> DataKey:
        """Return the key *data_key_id* of a project. Raises KeyUnavailable, or Corrupted if its object is damaged."""
        with self._lock:
            key = self._keys.get((project_id, data_key_id))
            if key is None:
                try:
                    key = self._remember(self._wrappings.unwrap(project_id, data_key_id))
                except errors.ObjectNotFound as error:
                    raise errors.KeyUnavailable(str(error)) from None
            return key

    def resolve_key(self, seal_id: str) -> DataKey:
        """Return the key that a sealed object names. Raises Corrupted if this is not the id of a key, and as :meth:`get`."""
        project, slash, data_key_id = seal_id.partition("/")
        try:
            if slash:
                return self.get(layout.unquote(project), data_key_id)
        except errors.InvalidKey:
            pass
        raise errors.Corrupted(f"{seal_id[:300]!r} is not the id of a data key")

    def resolver_for(self, project_id: str) -> Callable[[str], DataKey]:
        """Return a function like :meth:`resolve_key` that refuses the keys of other projects."""

        def resolve_key(seal_id: str) -> DataKey:
            if seal_id.partition("/")[0] != layout.quote(project_id):
                raise errors.Corrupted(f"an object of project {project_id} was sealed with the key {seal_id[:300]!r}")
            return self.resolve_key(seal_id)

        return resolve_key

    def rotate(self, *, remove_old: bool = False, progress: Callable[[int], None] | None = None) -> Rotation:
        """Wrap every data key with the first master key: see :func:`karbor_like.bank.keys.rotation.rotate`."""
        return rotation.rotate(self._wrappings, remove_old=remove_old, progress=progress)
