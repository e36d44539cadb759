"""Verification of a bank, at three levels, from cheap to certain.

* :func:`scrub` compares every pack with its own checksum. It needs no keys, and reads everything that is stored, once.
* :func:`quick` reads all documents and manifests, and checks that every pack that they need exists with its expected size. It
  relies on listings: a pack that was deleted within the listing lag may still be listed.
* :func:`full` also reads every stream as a restore would, and compares every block with its hash.

Each yields its findings and continues. What ``quick`` and ``full`` mean for one document or stream is defined by
:meth:`karbor_like.bank.checkpoints.section.ResourceSection.verify`.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.parallel import ahead
from karbor_like.bank.checkpoints.events import AVAILABLE, pins_of
from karbor_like.bank.checkpoints.section import ResourceSection
from karbor_like.bank.format import pack
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank

#: Packs that scrub reads concurrently: at most 64 MiB each, usually 16.
_READERS: Final = 3

_WRONG: Final = (errors.ObjectNotFound, *errors.UNREADABLE)

#: Called with what is done so far and the total, None if the total is unknown.
Progress = Callable[[int, int | None], None]
Check = Callable[[], None] | None
#: Verifies one stream of a section: yields the problems, or raises the first one.
VerifyStream = Callable[[ResourceSection, str, Check], Iterator[str]]


@dataclass(frozen=True)
class Finding:
    """A problem that a verification found.

    :param problem: names the object and what is wrong with it
    :param checkpoint_id: the checkpoint that cannot be restored because of it; None if that was not checked
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
        return None  # the collector has deleted it since it was listed
    except errors.InvalidKey:
        return Finding(f"{info.key}: is not the key of a pack")
    except (errors.Corrupted, errors.UnsupportedVersion) as error:
        return Finding(str(error))
    return None


def quick(
    bank: "Bank", checkpoint_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Check that everything that available checkpoints need is stored. Progress is in checkpoints.

    :param checkpoint_ids: None for all checkpoints in the index
    """
    ids = list(_indexed(bank) if checkpoint_ids is None else checkpoint_ids)
    for done, checkpoint_id in enumerate(ids, 1):
        yield from _verify(bank, checkpoint_id, _missing)
        if progress:
            progress(done, len(ids))


def full(
    bank: "Bank", checkpoint_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Read everything that available checkpoints contain. Progress is in bytes of streams.

    :param checkpoint_ids: None for all checkpoints in the index
    """
    done = 0

    def read(section: ResourceSection, name: str, check: Check) -> Iterator[str]:
        start = done

        def count(bytes_done: int) -> None:
            nonlocal done
            done = start + bytes_done
            if progress:
                progress(done, None)

        section.verify(name, "full", progress=count, check=check)
        return iter(())

    for checkpoint_id in list(_indexed(bank) if checkpoint_ids is None else checkpoint_ids):
        with bank.leases.acquire(holder="verification", bases=[checkpoint_id], kind="read") as lease:
            yield from _verify(bank, checkpoint_id, read, lease.check)


def _missing(section: ResourceSection, name: str, check: Check) -> Iterator[str]:
    return section.missing_packs(name, check=check)


def _verify(bank: "Bank", checkpoint_id: str, verify_stream: VerifyStream, check: Check = None) -> Iterator[Finding]:
    """Yield the findings about each object that an available checkpoint pins; nothing for a checkpoint in another state."""
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
        section = bank.section_of(record, what.resource_key)
        try:
            if what.kind == "documents":
                section.get(what.name)
                continue
            for problem in verify_stream(section, what.name, check):
                yield Finding(problem, checkpoint_id, what.resource_key, what.name)
        except _WRONG as error:
            yield Finding(str(error), checkpoint_id, what.resource_key, what.name)


def _indexed(bank: "Bank") -> Iterator[str]:
    page = bank.checkpoints.index.list()
    while page:
        yield from (entry.id for entry in page)
        page = bank.checkpoints.index.list(marker=page[-1])
