"""The collector's lists: what it is about to delete, and which packs ought to be emptied.

A list is one immutable object per project and run. Writers read all lists of their project once per lease, before they
read what they build on, and store anew what they would have referred to in a listed pack. A list is removed whole, when
nothing on it is left to be deleted; an entry is never taken out of one, because a writer may not see the shortened list
yet when it no longer sees the long one.
"""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

VERSION: Final = 1

#: The most entries of one list object: some 9 MiB.
MAX_ENTRIES: Final = 250_000


@dataclass(frozen=True)
class Exclusions:
    """What a writer leaves alone, because it is about to go or ought to empty itself.

    :param packs: ids of packs: a block in one of them is stored anew
    :param data_keys: ids of data keys (32 hexadecimal digits): another or a new one is used in their place
    """

    packs: frozenset[bytes] = frozenset()
    data_keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ListInfo:
    """A list as it stands in the store.

    :param key: its own key
    :param put: when the store received it
    :param packs: ids of the packs on it
    :param data_keys: ids of the data keys on it
    :param leases: ids of the leases that stood when it was put
    """

    key: str
    put: datetime
    packs: Sequence[bytes]
    data_keys: Sequence[str]
    leases: frozenset[str]


def put_lists(
    store: ObjectStore,
    root: str,
    project_id: str,
    *,
    packs: Sequence[bytes],
    data_keys: Sequence[str] = (),
    leases: Iterable[str] = (),
) -> list[str]:
    """Put new lists of *project_id* below *root* (QUARANTINE or REFRESH). Returns their keys."""
    written = []
    standing = sorted(leases)
    for start in range(0, max(len(packs), 1), MAX_ENTRIES):
        body = {
            "version": VERSION,
            "packs": [pack.hex() for pack in packs[start : start + MAX_ENTRIES]],
            "data_keys": list(data_keys) if start == 0 else [],
            "leases": standing,
        }
        key = layout.collector_key(root, project_id, uuid.uuid4().hex)
        store.put(key, jsonobject.dump(body))
        written.append(key)
    return written


def read_lists(store: ObjectStore, root: str, project_id: str) -> Iterator[ListInfo]:
    """The lists of *project_id* below *root* that are there now. Raises Corrupted or UnsupportedVersion."""
    for info in listing.objects(store, layout.collector_prefix(root, project_id)):
        try:
            raw = store.get(info.key)
        except errors.ObjectNotFound:
            continue  # removed since; the listing lags
        yield _parse(info, raw)


def _parse(info: ObjectInfo, raw: bytes) -> ListInfo:
    body = jsonobject.load(info.key, raw, VERSION)
    packs, data_keys, leases = (_texts(info.key, body.get(name)) for name in ("packs", "data_keys", "leases"))
    if not all(map(layout.HEX_ID.fullmatch, itertools.chain(packs, data_keys))):
        raise errors.Corrupted(f"{info.key}: names packs or keys that are none")
    return ListInfo(info.key, info.modified, [bytes.fromhex(pack) for pack in packs], data_keys, frozenset(leases))


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise errors.Corrupted(f"{key} is not a list of the collector: a member is missing or of the wrong type")
    return value


def to_avoid(store: ObjectStore, project_id: str) -> Exclusions:
    """What a writer of *project_id* leaves alone. To be read after its lease was taken and before anything it builds on."""
    packs: set[bytes] = set()
    data_keys: set[str] = set()
    for root in (layout.QUARANTINE, layout.REFRESH):
        for found in read_lists(store, root, project_id):
            packs.update(found.packs)
            data_keys.update(found.data_keys)
    return Exclusions(frozenset(packs), frozenset(data_keys))
