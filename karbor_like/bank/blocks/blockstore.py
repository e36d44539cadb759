"""The block store: stores streams of any length as manifests and packs, and reads them back.

It knows object stores, keys and bytes, but not what the streams are. :mod:`karbor_like.bank.blocks.writer` and
:mod:`karbor_like.bank.blocks.reader` do the work. This module keeps the order in which nothing can be lost:
packs, segments, head, read-back of the head.
"""

import copy
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.blocks.budget import Budget
from karbor_like.bank.blocks.dedup import Base, find_bases
from karbor_like.bank.blocks.extents import Extent, ExtentSource
from karbor_like.bank.blocks.packer import Target
from karbor_like.bank.blocks.parallel import begun
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.blocks.restore import ExtentTarget, Restorer
from karbor_like.bank.blocks.writer import MOST_REMEMBERED, StreamWriter, Written, needed_memory
from karbor_like.bank.format import manifest, seal
from karbor_like.bank.format.content import Content
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.format.segment import PackUse
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.bank.objectstore.limited import limited
from karbor_like.bank.options import BankOptions
from karbor_like.rate import Rate


@dataclass(frozen=True)
class StreamId:
    """The identity of a stream in a bank."""

    project_id: str
    checkpoint_id: str
    resource_key: str
    name: str

    @property
    def prefix(self) -> str:
        """The prefix of the keys of its manifest heads."""
        return layout.manifest_prefix(self.checkpoint_id, self.resource_key, self.name)


class BlockStore:
    """The streams of one bank.

    :param keyring: None if the bank is not encrypted
    """

    def __init__(self, store: ObjectStore, keyring: Keyring | None, options: BankOptions) -> None:
        self._store = store
        self._rates: Sequence[Rate] = ()
        self._keyring = keyring
        self._options = options
        # A stream that is read may be the source of one that is written. With a single budget, the writers of several such
        # pairs could hold the memory that the readers wait for.
        self._write_budget = Budget(options.memory_budget * 2 // 3)
        self._read_budget = Budget(options.memory_budget // 3)

    def limited(self, rates: Sequence[Rate]) -> "BlockStore":
        """Return this block store, with *rates* for the streams that are written and read through it."""
        found = copy.copy(self)
        found._rates = rates
        return found

    @property
    def is_encrypted(self) -> bool:
        """Whether what is written is encrypted."""
        return self._keyring is not None

    def resolver_for(self, project_id: str) -> manifest.KeyResolver:
        """Return the key resolver for sealed objects of this project only."""
        return self._keyring.resolver_for(project_id) if self._keyring else None

    def put(
        self,
        stream_id: StreamId,
        stream: Iterable[bytes | memoryview],
        lease: Lease,
        head_key: Callable[[], str],
        *,
        bases: Sequence[Head] = (),
        size: int | None = None,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Head:
        """Store *stream*. Its head is stored last.

        :param head_key: returns the key of the head; called just before the head is stored
        :param bases: manifests of the same project, to refer to for equal blocks. *lease* names their checkpoints, and they
            were read after ``lease.avoid``
        :param size: expected bytes of the stream
        :param progress: called with the bytes done so far
        :param check: called every few MiB; may raise to stop
        :raises Unavailable: the stream has another size
        :raises LeaseLost: the lease expired; what was written is garbage that the collector removes
        """

        def write(writer: StreamWriter, _: Sequence[Base]) -> Written:
            written = writer.write(stream)
            if size is not None and written.size != size:
                raise exception.Unavailable(
                    f"{stream_id.resource_key} {stream_id.name!r}: the source had {written.size} bytes; expected {size}"
                )
            return written

        return self._put(stream_id, write, lease, head_key, bases, progress, check)

    def put_extents(
        self,
        stream_id: StreamId,
        source: ExtentSource,
        lease: Lease,
        head_key: Callable[[], str],
        *,
        base: Head | None = None,
        changed: Iterable[Extent] | None = None,
        bases: Sequence[Head] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Head:
        """Store *source*, and read as little of it as possible. Its head is stored last. Parameters as :meth:`put`.

        :param base: manifest of what the source was when *changed* began. If it cannot be referred to, what is allocated is
            read
        :param changed: what may be different since then, in ascending order and without overlap. Another thread than the
            caller's begins to iterate over it
        :param bases: further manifests
        :raises ResourceFailed: the source violates its contract
        """

        heads = [*([base] if base else ()), *(head for head in bases if head != base)]
        with ThreadPoolExecutor(1, "bank-map") as pool:
            # Of a large volume, this takes as long as reading the tables of the base, which comes first.
            changes = begun(pool, changed) if base is not None and changed is not None else None

            def write(writer: StreamWriter, usable: Sequence[Base]) -> Written:
                taken = next((each for each in usable if each.head is base), None)
                if taken is None or changes is None:
                    return writer.write_extents(source, source.allocated(), None)
                return writer.write_extents(source, changes, taken)

            return self._put(stream_id, write, lease, head_key, heads, progress, check)

    def _put(
        self,
        stream_id: StreamId,
        write: Callable[[StreamWriter, Sequence[Base]], Written],
        lease: Lease,
        head_key: Callable[[], str],
        bases: Sequence[Head],
        progress: Callable[[int], None] | None,
        check: Callable[[], None] | None,
    ) -> Head:
        data_key = self._keyring.current(stream_id.project_id, lease) if self._keyring else None
        attempt = secrets.token_hex(16)
        target = Target(stream_id.project_id, data_key, lambda index: self._segment_key(stream_id, attempt, index))

        def check_all() -> None:
            lease.check()
            if check:
                check()

        check_all()
        with self._write_budget.reserve(needed_memory(self._options), check_all) as share:
            usable = self._bases(stream_id, bases, data_key, lease, check_all)
            store = limited(self._store, self._rates, check_all)
            writer = StreamWriter(store, target, usable, self._options, share, progress=progress, check=check_all)
            written = write(writer, usable)
        check_all()
        head = self._new_head(stream_id, written, data_key, attempt, lease)
        key = head_key()
        self._put_head(key, head, data_key)
        if writer.packs is not None and sum(map(len, lease.packs.values())) + len(writer.packs) <= MOST_REMEMBERED:
            lease.packs[key] = writer.packs
        return head

    def _new_head(
        self, stream_id: StreamId, written: Written, data_key: DataKey | None, attempt: str, lease: Lease
    ) -> Head:
        return Head(
            **vars(stream_id),
            **vars(written),
            block_size=self._options.block_size,
            segment_blocks=self._options.segment_blocks,
            hash=manifest.BLAKE3_KEYED if data_key else manifest.SHA256,
            data_key=data_key.id if data_key else None,
            lease=lease.id,
            lease_until=lease.ends.isoformat(),
            attempt=attempt,
        )

    def _segment_key(self, stream_id: StreamId, attempt: str, index: int) -> str:
        return layout.segment_key(stream_id.checkpoint_id, stream_id.resource_key, stream_id.name, attempt, index)

    def _bases(
        self,
        stream_id: StreamId,
        heads: Sequence[Head],
        data_key: DataKey | None,
        lease: Lease,
        check: Callable[[], None],
    ) -> Sequence[Base]:
        for head in heads:
            if head.project_id != stream_id.project_id:
                raise ValueError(
                    f"stream of project {stream_id.project_id}: a stream of project {head.project_id} cannot be its base"
                )
            if head.checkpoint_id not in (stream_id.checkpoint_id, *lease.bases):
                raise ValueError(f"{lease}: does not name the checkpoint {head.checkpoint_id} of a base")
        return find_bases(
            self._store,
            heads,
            data_key,
            block_size=self._options.block_size,
            segment_blocks=self._options.segment_blocks,
            avoid=lease.avoid(stream_id.project_id).packs,
            check=check,
        )

    def _put_head(self, key: str, head: Head, data_key: DataKey | None) -> None:
        self._store.put(key, manifest.seal_head(key, head, data_key))
        if self.head(key, head.project_id) != head:
            raise errors.Corrupted(f"{key}: reads back with other contents than were stored")

    def head(self, key: str, project_id: str) -> Head:
        """Read the manifest head under *key*.

        :raises ObjectNotFound: there is no such object
        :raises Corrupted: it is damaged, or belongs to another project
        """
        head = manifest.read_head(self._store, key, self.resolver_for(project_id))
        if head.project_id != project_id:
            raise errors.Corrupted(f"{key}: is a manifest of project {head.project_id}; expected {project_id}")
        if (head.data_key is None) != (self._keyring is None):
            expected = (
                "none, as the bank is not encrypted" if self._keyring is None else "one, as the bank is encrypted"
            )
            raise errors.Corrupted(f"{key}: names the data key {head.data_key}; expected {expected}")
        return head

    def pack_uses(self, head: Head) -> Iterator[PackUse]:
        """Yield the packs that a manifest needs, some of them several times.

        Reads every segment whole, and compares the digest of the content, if the head states it. Raises Corrupted.
        """
        content = Content(head.block_size, head.segment_blocks)
        for ref in head.segments:
            segment = manifest.read_segment(self._store, head, ref, self.resolver_for(head.project_id))
            content.add(ref.number, segment.digest())
            yield from segment.packs
        content.require(head)

    def get(self, head: Head, *, check: Callable[[], None] | None = None) -> StreamReader:
        """Return the stream of a manifest, to be read once.

        :param check: called every few MiB; may raise to stop
        """
        store = limited(self._store, self._rates, check or (lambda: None))
        return StreamReader(
            store, head, self._data_key(head), self._read_budget, threads=self._options.workers, check=check
        )

    def restore(
        self,
        head: Head,
        target: ExtentTarget,
        *,
        empty: bool,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Write the stream of a manifest into *target*. Parameters and errors as those of :class:`.restore.Restorer`."""
        Restorer(
            limited(self._store, self._rates, check or (lambda: None)),
            head,
            self._data_key(head),
            self._read_budget,
            threads=self._options.workers,
            progress=progress,
            check=check,
        ).restore(target, empty=empty)

    def _data_key(self, head: Head) -> DataKey | None:
        if self._keyring is None or head.data_key is None:
            return None
        return self._keyring.get(head.project_id, head.data_key)

    def seal(self, key: str, project_id: str, payload: bytes, lease: Lease) -> bytes:
        """Seal *payload* for storing under *key*."""
        secret = self._keyring.current(project_id, lease) if self._keyring else None
        return seal.seal(key, payload, secret)
