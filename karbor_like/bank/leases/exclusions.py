"""Exclusion lists of the collector: packs and data keys that writers must not use.

A quarantine list names what the collector is about to delete. A refresh list names packs that should be emptied. A list is an
immutable object per project and run. Writers read all lists of their project once per lease, before they read what they build
on. They store the blocks of a listed pack again instead of referring to it. A list is removed as a whole, when all of its
entries were deleted. No entry is ever removed from a list, because a writer might see neither the old nor the shortened list.
"""

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

VERSION: Final = 1

#: Maximum number of entries of one list, about 9 MiB.
MAX_ENTRIES: Final = 250_000
#: Maximum bytes of one list, with its data keys and leases.
_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Exclusions:
    """The packs and data keys that a writer must not use.

    :param packs: ids of packs; a block in one of them is stored again
    :param data_keys: ids of data keys (32 hexadecimal digits); the writer uses another key or creates one
    """

    packs: frozenset[bytes] = frozenset()
    data_keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ExclusionList:
    """One list in the store.

    :param key: the key of the list
    :param put: when the store received it
    :param packs: ids of the packs on it
    :param data_keys: ids of the data keys on it
    :param leases: ids of the leases that counted when it was put
    """

    key: str
    put: datetime
    packs: Sequence[bytes]
    data_keys: Sequence[str]
    leases: frozenset[str]


def put_lists(
    put: Callable[[str, bytes], None],
    root: str,
    project_id: str,
    *,
    packs: Sequence[bytes],
    data_keys: Sequence[str] = (),
    leases: Iterable[str] = (),
) -> list[str]:
    """Put new lists of *project_id* below *root* (QUARANTINE or REFRESH), and return their keys.

    :param put: stores an object
    """
    written = []
    lease_ids = sorted(leases)
    for start in range(0, max(len(packs), 1), MAX_ENTRIES):
        body = {
            "version": VERSION,
            "packs": [pack.hex() for pack in packs[start : start + MAX_ENTRIES]],
            "data_keys": list(data_keys) if start == 0 else [],
            "leases": lease_ids,
        }
        key = layout.collector_key(root, project_id, uuid.uuid4().hex)
        put(key, jsonobject.dump(body))
        written.append(key)
    return written


def read_lists(store: ObjectStore, root: str, project_id: str) -> Iterator[ExclusionList]:
    """Read the lists of *project_id* below *root*. Raises Corrupted or UnsupportedVersion."""
    for info in listing.objects(store, layout.collector_prefix(root, project_id)):
        try:
            raw = jsonobject.get(store, info.key, _MAX_BYTES)
        except errors.ObjectNotFound:
            continue  # removed since it was listed
        yield _parse(info, raw)


def _parse(info: ObjectInfo, raw: bytes) -> ExclusionList:
    body = jsonobject.load(info.key, raw, VERSION)
    packs, data_keys, leases = (_texts(info.key, body.get(name)) for name in ("packs", "data_keys", "leases"))
    if not all(map(layout.HEX_ID.fullmatch, itertools.chain(packs, data_keys))):
        raise errors.Corrupted(f"{info.key}: names invalid ids of packs or data keys")
    return ExclusionList(info.key, info.modified, [bytes.fromhex(pack) for pack in packs], data_keys, frozenset(leases))


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise errors.Corrupted(f"{key}: a member of the list is missing or of the wrong type")
    return value


def read_exclusions(store: ObjectStore, root: str, project_id: str) -> Exclusions:
    """Read what the lists of *project_id* below *root* (QUARANTINE or REFRESH) tell writers to leave alone.

    To be called after the writer's lease was taken and before any base is read.
    """
    packs: set[bytes] = set()
    data_keys: set[str] = set()
    for listed in read_lists(store, root, project_id):
        packs.update(listed.packs)
        data_keys.update(listed.data_keys)
    return Exclusions(frozenset(packs), frozenset(data_keys))
