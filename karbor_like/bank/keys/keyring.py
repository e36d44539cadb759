"""Keys: a master key of the operator's wraps one random data key per project, from which every other key is derived.

Wrapped data keys are objects of the bank itself (``keys/<project>/<data key>/<master key>``), so that bank and master key are
all that a restore needs. Rotation adds an object per data key and rewrites no data.
"""

import contextlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.format import seal
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.masters import KEY_BYTES, MasterKey, MasterKeys
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

_REMEMBERED_LEASES: Final = 64


@dataclass(frozen=True)
class Rotation:
    """What a rotation did: counts of data keys, and the keys of wrappings that could not be opened."""

    wrapped: int
    already: int
    removed: int
    failed: Sequence[str]


class Keyring:
    """The data keys of a bank. Safe to use from several threads.

    Two processes that make a project's first key at the same time make two: both stay valid, as everything names the key it
    is encrypted with, and later writers agree on the one that sorts first.
    """

    def __init__(self, store: ObjectStore, masters: MasterKeys) -> None:
        if not masters.ids():
            raise exception.ConfigurationError("[bank] encryption is on, but there is no master key: set master_keys")
        self._store = store
        self._masters = masters
        self._keys: dict[tuple[str, str], DataKey] = {}
        self._current: OrderedDict[tuple[str, str], DataKey] = OrderedDict()
        self._lock = threading.RLock()

    def current(self, project_id: str, lease: Lease) -> DataKey:
        """The key for new data of a project under *lease*; the first one is made when it is asked for.

        The collector removes data keys that nothing is encrypted with any more. So what is cached is only used under the
        lease for which it was looked up, and a key that is about to go is not used at all. Raises KeyUnavailable.
        """
        with self._lock:
            key = self._current.get((project_id, lease.id))
            if key is None:
                key = self._current[project_id, lease.id] = self._choose(project_id, lease.avoid_data_keys(project_id))
                if len(self._current) > _REMEMBERED_LEASES:
                    self._current.popitem(last=False)
            return key

    def _choose(self, project_id: str, avoid: Set[str]) -> DataKey:
        # A listing may not show yet what this process wrote; and what this process knows may be gone since.
        known = {ids: {self._masters.ids()[0]} for ids in self._keys if ids[0] == project_id} | self._all(project_id)
        for (_, data_key_id), master_ids in sorted(known.items()):
            if data_key_id in avoid:
                continue
            if master_ids.isdisjoint(self._masters.ids()):
                raise errors.KeyUnavailable(
                    f"data key {data_key_id} of project {project_id} is wrapped with the master key"
                    f" {' or '.join(sorted(master_ids))}, which is not configured"
                )
            with contextlib.suppress(errors.ObjectNotFound):
                return self._remember(self._unwrap(project_id, data_key_id))
        return self._create(project_id)

    def _remember(self, key: DataKey) -> DataKey:
        return self._keys.setdefault((key.project_id, key.id), key)

    def get(self, project_id: str, data_key_id: str) -> DataKey:
        """The key *data_key_id* of a project. Raises KeyUnavailable, or Corrupted where its object is damaged."""
        with self._lock:
            key = self._keys.get((project_id, data_key_id))
            if key is None:
                try:
                    key = self._remember(self._unwrap(project_id, data_key_id))
                except errors.ObjectNotFound as error:
                    raise errors.KeyUnavailable(str(error)) from None
            return key

    def resolve_key(self, seal_id: str) -> DataKey:
        """The key that a sealed object names. Raises Corrupted where that can be no key's id, and as :meth:`get`."""
        project, slash, data_key_id = seal_id.partition("/")
        try:
            if slash:
                return self.get(layout.unquote(project), data_key_id)
        except errors.InvalidKey:
            pass
        raise errors.Corrupted(f"{seal_id[:300]!r} is not the id of a data key")

    def resolver_for(self, project_id: str) -> Callable[[str], DataKey]:
        """Like :meth:`find`, for what must be of this project: what another project's key sealed is refused."""

        def resolve_key(seal_id: str) -> DataKey:
            if seal_id.partition("/")[0] != layout.quote(project_id):
                raise errors.Corrupted(f"an object of project {project_id} was sealed with the key {seal_id[:300]!r}")
            return self.resolve_key(seal_id)

        return resolve_key

    def rotate(self, *, remove_old: bool = False, progress: Callable[[int], None] | None = None) -> Rotation:
        """Wrap every data key with the first master key, where it is not yet. Then the other ones are not needed any more.

        :param remove_old: also delete what the other master keys wrapped, as is due when one of them got out. What the
            first one wrapped was opened before; where that fails, nothing of this data key is changed
        :param progress: called with the number of data keys done
        """
        master = self._masters.get(self._masters.ids()[0])
        wrapped = already = removed = 0
        failed: list[str] = []
        for done, ((project_id, data_key_id), master_ids) in enumerate(self._all().items(), 1):
            try:
                # A listing may be late and says nothing of what an object holds, so whatever it shows the wrapping is opened.
                # One that does not open is left as it is: another host's master key of this name may be another one.
                key = self._opened(project_id, data_key_id, master)
                if key is None:
                    key = self._unwrap(project_id, data_key_id)
                    self._wrap(key, master)
                    wrapped += 1
                else:
                    already += 1
                if remove_old:
                    removed += self._remove(key, master, master_ids - {master.id})
            except (errors.ObjectNotFound, *errors.UNREADABLE) as error:
                failed.append(f"{layout.data_key_prefix(project_id, data_key_id)}: {error}")
            if progress:
                progress(done)
        return Rotation(wrapped, already, removed, failed)

    def _opened(self, project_id: str, data_key_id: str, master: MasterKey) -> DataKey | None:
        """What *master* wrapped; None where it wrapped nothing. Raises Corrupted where it does not open."""
        try:
            return DataKey(
                project_id, data_key_id, self._open(layout.wrapped_key(project_id, data_key_id, master.id), master)
            )
        except errors.ObjectNotFound:
            return None

    def _remove(self, key: DataKey, kept: MasterKey, master_ids: Set[str]) -> int:
        """Remove what *master_ids* wrapped. Raises Corrupted where one of them opens to another key than *kept* did."""
        for master_id in master_ids & set(self._masters.ids()):
            other = None
            # What cannot be opened is no loss.
            with contextlib.suppress(*errors.UNREADABLE):
                other = self._opened(key.project_id, key.id, self._masters.get(master_id))
            if other not in (None, key):
                raise errors.Corrupted(
                    f"{layout.wrapped_key(key.project_id, key.id, kept.id)}: holds another key than what {master_id!r}"
                    " wrapped; both were left alone"
                )
        for master_id in master_ids:
            with contextlib.suppress(errors.ObjectNotFound):
                self._store.delete(layout.wrapped_key(key.project_id, key.id, master_id))
        # Another host may have removed the kept one meanwhile, for the sake of one that was just removed here.
        if master_ids and self._opened(key.project_id, key.id, kept) is None:
            self._wrap(key, kept)
        return len(master_ids)

    def _create(self, project_id: str) -> DataKey:
        key = DataKey(project_id, secrets.token_hex(16), secrets.token_bytes(KEY_BYTES))
        self._wrap(key, self._masters.get(self._masters.ids()[0]))
        LOG.info("made data key %s of project %s", key.id, project_id)
        return self._remember(key)

    def _wrap(self, key: DataKey, master: MasterKey) -> None:
        name = layout.wrapped_key(key.project_id, key.id, master.id)
        self._store.put(name, seal.seal(name, key.material, master))
        # A lost key is lost data: look before anything depends on it.
        if self._open(name, master) != key.material:
            raise errors.Corrupted(f"{name}: does not read back as it was written")

    def _unwrap(self, project_id: str, data_key_id: str) -> DataKey:
        """Raises ObjectNotFound where no wrapping by any of the master keys exists, KeyUnavailable where none opens."""
        reasons = []
        for master_id in self._masters.ids():
            name = layout.wrapped_key(project_id, data_key_id, master_id)
            try:
                return DataKey(project_id, data_key_id, self._open(name, self._masters.get(master_id)))
            except errors.ObjectNotFound:
                continue
            except (errors.KeyUnavailable, errors.Corrupted) as error:
                reasons.append(str(error))
        if not reasons:
            raise errors.ObjectNotFound(
                f"data key {data_key_id} of project {project_id} is not in the bank, or is wrapped with a master key"
                f" that is not configured (configured are: {', '.join(self._masters.ids())})"
            )
        raise errors.KeyUnavailable(
            f"data key {data_key_id} of project {project_id} cannot be unwrapped: " + "; ".join(reasons)
        )

    def _open(self, name: str, master: MasterKey) -> bytes:
        def resolve_key(seal_id: str) -> MasterKey:
            if seal_id != master.seal_id:
                raise errors.Corrupted(f"{name}: was wrapped with {seal_id[:300]!r}")
            return master

        material = seal.unseal(name, self._store.get(name), resolve_key)
        if len(material) != KEY_BYTES:
            raise errors.Corrupted(f"{name}: holds {len(material)} bytes, which is no key")
        return material

    def _all(self, project_id: str | None = None) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        prefix = layout.wrapped_keys_prefix(project_id)
        for _, (project, data_key_id, master_id) in listing.parsed(self._store, prefix, layout.parse_wrapped_key):
            found.setdefault((project, data_key_id), set()).add(master_id)
        return found
