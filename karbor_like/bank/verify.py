"""Looking whether a bank still has what it should: three levels, from cheap to certain.

* :func:`scrub` compares every pack with its own checksum. It needs no keys, and reads everything that is stored, once.
* :func:`quick` looks whether every pack that a checkpoint needs is there with its size. It reads manifests only, and believes
  listings: a pack that was deleted within the listing lag may still be shown.
* :func:`full` reads every stream as a restore would, and compares every block and the SHA-256 of the whole.

Each yields what it finds wrong and goes on.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.checkpoints.checkpoints import CheckpointRecord
from karbor_like.bank.checkpoints.events import AVAILABLE, pins_of
from karbor_like.bank.format import manifest, pack, seal
from karbor_like.bank.layout import ResourceObject
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank

#: Packs that are read at once by scrub: at most 64 MiB each, mostly 16.
_READERS: Final = 3

_WRONG: Final = (errors.ObjectNotFound, *errors.UNREADABLE)

#: What is done so far and what there is in all, None where it is not known.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    :param problem: names the object and what is wrong with it
    :param checkpoint_id: which checkpoint cannot be restored because of it; None where that was not looked for
    """

    problem: str
    checkpoint_id: str | None = None
    resource_key: str | None = None
    name: str | None = None


def scrub(bank: "Bank", progress: Progress | None = None) -> Iterator[Finding]:
    """Compare all packs with their checksums. Progress is in packs."""
    with ThreadPoolExecutor(_READERS, "bank-scrub") as pool:
        infos = listing.objects(bank.store, layout.DATA)
        for done, finding in enumerate(ahead(pool, partial(_scrub, bank), infos, _READERS), 1):
            if progress:
                progress(done, None)
            if finding:
                yield finding


def _scrub(bank: "Bank", info: ObjectInfo) -> Finding | None:
    try:
        pack.check(info.key, bank.store.get(info.key))
    except errors.ObjectNotFound:
        return None  # the collector took it since it was listed
    except errors.InvalidKey:
        return Finding(f"{info.key}: is not the key of a pack")
    except (errors.Corrupted, errors.UnsupportedVersion) as error:
        return Finding(str(error))
    return None


def quick(
    bank: "Bank", checkpoint_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Look whether everything that available checkpoints need is there. Progress is in checkpoints.

    :param checkpoint_ids: None: all that the bank lists
    """
    ids = list(_listed(bank) if checkpoint_ids is None else checkpoint_ids)
    for done, checkpoint_id in enumerate(ids, 1):
        yield from _each(bank, checkpoint_id, partial(_quick, bank))
        if progress:
            progress(done, len(ids))


def full(
    bank: "Bank", checkpoint_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Read everything that available checkpoints hold. Progress is in bytes of streams.

    :param checkpoint_ids: None: all that the bank lists
    """
    done = 0

    def count(chunk: memoryview) -> None:
        nonlocal done
        done += len(chunk)
        if progress:
            progress(done, None)

    for checkpoint_id in list(_listed(bank) if checkpoint_ids is None else checkpoint_ids):
        with bank.leases.acquire(holder="verification", bases=[checkpoint_id], kind="read") as lease:
            yield from _each(bank, checkpoint_id, partial(_full, bank, lease.check, count))


def _each(
    bank: "Bank", checkpoint_id: str, look: Callable[[CheckpointRecord, ResourceObject, str], Iterator[str]]
) -> Iterator[Finding]:
    """What *look* finds wrong with each object that an available checkpoint pins. Nothing for a checkpoint that is not."""
    try:
        record = bank.checkpoints.get(checkpoint_id)
    except exception.CheckpointNotFound:
        return  # deleted since it was listed
    except _WRONG as error:
        yield Finding(str(error), checkpoint_id)
        return
    if record.status != AVAILABLE:
        return
    for key in (pins_of(record.events) or {}).values():
        what = layout.parse_resource_key(key)
        try:
            for problem in look(record, what, key):
                yield Finding(problem, checkpoint_id, what.resource_key, what.name)
        except _WRONG as error:
            yield Finding(str(error), checkpoint_id, what.resource_key, what.name)


def _quick(bank: "Bank", record: CheckpointRecord, what: ResourceObject, key: str) -> Iterator[str]:
    resolve_key = bank.keyring.resolver_for(record.project_id) if bank.keyring else None
    if what.kind == "documents":
        seal.unseal(key, bank.store.get(key), resolve_key)
        return
    head = manifest.read_head(bank.store, key, resolve_key)
    for problem in presence.missing(bank.store, record.project_id, manifest.pack_uses(bank.store, head, resolve_key)):
        yield f"{key}: {problem}"


def _full(
    bank: "Bank",
    check: Callable[[], None],
    count: Callable[[memoryview], None],
    record: CheckpointRecord,
    what: ResourceObject,
    key: str,
) -> Iterator[str]:
    section = bank.section(record.id, record.project_id, what.resource_key)
    if what.kind == "documents":
        section.get(what.name)
        return
    with section.read(what.name, check=check) as reader:
        for chunk in reader:
            count(chunk)
    yield from ()


def _listed(bank: "Bank") -> Iterator[str]:
    page = bank.checkpoints.list()
    while page:
        yield from (entry.id for entry in page)
        page = bank.checkpoints.list(marker=page[-1])
