"""A section: one resource's part of one checkpoint, the only part of the bank that a plugin sees."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.blocks.blockstore import BlockStore, StreamId
from karbor_like.bank.blocks.extents import Extent, ExtentSource
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.blocks.restore import ExtentTarget
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.format import jsonobject, seal
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

Level = Literal["quick", "full"]
#: Reads the head of a section's stream, if a writer can build on it.
FindBase = Callable[["ResourceSection"], Head | None]


@dataclass(frozen=True)
class StreamStats:
    """Sizes of a stream, in bytes, and what identifies its content.

    :param logical: size of the stream
    :param new: size of its blocks that were neither zero nor in a base
    :param stored: size of the objects that were written for those
    :param digest: equal for streams of one project with equal contents in one bank, if their manifests have the same version
        of the format and the same block size; hexadecimal. Another bank or project has other digests
    :param sha256: SHA-256 of the stream, hexadecimal, if its manifest states it: version 1 of the format, which is not
        written any more
    """

    logical: int
    new: int
    stored: int
    digest: str
    sha256: str | None = None


class ResourceSection:
    """The documents and streams of one resource in one checkpoint. :meth:`karbor_like.bank.bank.Bank.section` opens it.

    :param lease: the lease of the writer; None to only read and delete
    :param under: the lease of the operation that reads, if it has one
    """

    def __init__(
        self,
        store: ObjectStore,
        blocks: BlockStore,
        versions: ObjectVersions,
        *,
        checkpoint_id: str,
        project_id: str,
        resource_key: str,
        lease: Lease | None,
        under: Lease | None = None,
    ) -> None:
        self.checkpoint_id: Final = checkpoint_id
        self.project_id: Final = project_id
        self.resource_key: Final = resource_key
        self._store = store
        self._blocks = blocks
        self._versions = versions
        self._lease = lease
        self._under = under

    @property
    def is_encrypted(self) -> bool:
        """Whether the bank encrypts what is written to it."""
        return self._blocks.is_encrypted

    # Documents.

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON object under *name*. Idempotent: the last one is valid. Raises LeaseLost."""
        lease = self._require_lease()
        key = self._versions.new_key(self._document_prefix(name), lease)
        payload = jsonobject.dump(value)
        self._store.put(key, self._blocks.seal(key, self.project_id, payload, lease))
        self._versions.acknowledge(key, lease)
        self._remember(key, payload)

    def get(self, name: str) -> dict[str, Any]:
        """Read the JSON object that is stored under *name*. Raises ObjectNotFound, or Corrupted."""
        key = self._find_valid(self._document_prefix(name), f"document {name!r}")
        return jsonobject.load(key, self._once(key, lambda: self._read_document(key)))

    def _read_document(self, key: str) -> bytes:
        try:
            data = self._store.get(key)
        except errors.ObjectNotFound:
            raise self._missing(f"{key}: this document is missing") from None
        return seal.unseal(key, data, self._blocks.resolver_for(self.project_id))

    def names(self) -> Sequence[str]:
        """Return the names of all documents and streams, sorted. Before the commit, those that a listing shows."""
        return sorted({*self.documents(), *self.streams()})

    def documents(self) -> Sequence[str]:
        """Return the names of all documents, as :meth:`names`."""
        return sorted(self._find_names("documents"))

    def streams(self) -> Sequence[str]:
        """Return the names of all streams, as :meth:`names`."""
        return sorted(self._find_names("manifests"))

    def _find_names(self, kind: str) -> Set[str]:
        prefix = layout.resource_prefix(self.checkpoint_id, self.resource_key)
        keys = list(self._versions.pins.values()) if self._versions.pins else self._list_keys(prefix)
        ours = (key for key in keys if key.startswith(prefix) and layout.kind_of(key) == kind)
        return {layout.parse_resource_key(key).name for key in ours}

    # Streams.

    def write(
        self,
        name: str,
        stream: Iterable[bytes | memoryview],
        *,
        size: int | None = None,
        bases: Sequence["ResourceSection"] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats:
        """Store all bytes of *stream* under *name*. Idempotent: the last one is valid.

        :param size: bytes that the stream must have
        :param bases: sections to build on, the most similar first: equal blocks of their stream *name* are referred to. The
            lease must name their checkpoints
        :param progress: called with the bytes done so far
        :param check: called every few MiB; may raise to stop, and then this call adds no version of *name*
        :returns: the sizes of the stream
        :raises Unavailable: the stream ended too early or too late
        :raises LeaseLost: the lease expired, or another process took the checkpoint over
        """

        def put(lease: Lease, head_key: Callable[[], str], find_base: FindBase) -> Head:
            return self._blocks.put(
                self._stream_id(name),
                stream,
                lease,
                head_key,
                bases=[head for head in map(find_base, bases) if head],
                size=size,
                progress=progress,
                check=check,
            )

        return self._write(name, put)

    def write_extents(
        self,
        name: str,
        source: ExtentSource,
        *,
        base: "ResourceSection | None" = None,
        changed: Iterable[Extent] | None = None,
        bases: Sequence["ResourceSection"] = (),
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> StreamStats:
        """Store all bytes of *source* under *name*, and read only a part of them. Idempotent: the last one is valid.

        What is not in *changed* is taken over from the stream *name* of *base*. Blocks of it that cannot be referred to, for
        example because they are missing in the bank, are read. If *base* cannot be used at all (it is not there, is
        damaged, or has other block sizes or another data key), or without it, what *source* has allocated is read.
        The resulting manifest, with its digest, is the same as if all bytes had been written with :meth:`write`.

        :param base: the section whose stream has the bytes that *source* had when *changed* began
        :param changed: what may be different since then, in ascending order and without overlap
        :param bases: further sections to build on, as in :meth:`write`. The lease must name their checkpoints, and that of
            *base*
        :param progress: called with the bytes done so far, including those that are not read
        :param check: called every few MiB; may raise to stop, and then this call adds no version of *name*
        :raises ResourceFailed: *source* violates its contract
        :raises LeaseLost: the lease expired, or another process took the checkpoint over
        """
        if (base is None) != (changed is None):
            raise ValueError(f"stream {name!r}: expected base and changed together, or neither")

        def put(lease: Lease, head_key: Callable[[], str], find_base: FindBase) -> Head:
            return self._blocks.put_extents(
                self._stream_id(name),
                source,
                lease,
                head_key,
                base=find_base(base) if base else None,
                changed=changed,
                bases=[head for head in map(find_base, bases) if head],
                progress=progress,
                check=check,
            )

        return self._write(name, put)

    def _write(self, name: str, put: Callable[[Lease, Callable[[], str], FindBase], Head]) -> StreamStats:
        """Store a stream by *put*, which is given the lease, what makes the key of the head, and what reads a base."""
        lease = self._require_lease()
        # The writer must know what the collector is about to delete before it reads what it builds on.
        concurrently.both(lambda: self._versions.claims.claim(lease), lambda: lease.avoid(self.project_id))
        prefix = self._stream_id(name).prefix
        keys: list[str] = []

        def head_key() -> str:
            keys.append(self._versions.new_key(prefix, lease))
            return keys[-1]

        head = put(lease, head_key, lambda section: section._find_base(name))
        self._versions.acknowledge(keys[-1], lease)
        self._remember(keys[-1], head)
        return _stats(head)

    def read(self, name: str, *, check: Callable[[], None] | None = None) -> StreamReader:
        """Open the stream *name*, to be read once. Raises ObjectNotFound, or Corrupted, also while it is read.

        :param check: called every few MiB; may raise to stop
        """
        return self._blocks.get(self._read_head(name, again=True), check=check)

    def restore(
        self,
        name: str,
        target: ExtentTarget,
        *,
        empty: bool = False,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Write the stream *name* into *target*, in the order in which it is stored: with fewer requests than :meth:`read`.

        Every block is compared with its hash before it is written, the manifest with its digest at the end. The SHA-256 that
        a manifest of version 1 states is not compared, as the bytes do not come in order.

        :param empty: whether all of *target* reads as zero: then zeros are not written
        :param progress: called with the bytes done so far, including zeros
        :param check: called every few MiB; may raise to stop
        :raises ResourceFailed: *target* is smaller than the stream
        :raises ObjectNotFound: there is no stream *name*
        :raises Corrupted: an object is missing or wrong. Names it, and the range of bytes that cannot be restored
        """
        try:
            self._blocks.restore(self._read_head(name), target, empty=empty, progress=progress, check=check)
        except errors.Corrupted as error:
            if self._is_deleted():
                raise self._deleted() from error
            raise

    def stats(self, name: str) -> StreamStats:
        """Return what :meth:`write` returned for the stream. Raises ObjectNotFound, or Corrupted."""
        return _stats(self._read_head(name))

    def verify(
        self,
        name: str,
        level: Level,
        *,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Verify the document or stream *name*.

        :param level: ``quick``: read a document, or the whole manifest of a stream, and check that every pack that the
            manifest needs exists with its expected size, as far as listings show.
            ``full``: also read every block and compare it with its hash. Both compare the digest of the stream, as far as the
            level can: that of version 1 of the format is the SHA-256 of all bytes
        :param progress: called with the bytes of the stream that were verified so far
        :param check: called before every request, or every few MiB; may raise to stop
        :raises Corrupted: an object is missing or wrong; names it
        :raises ObjectNotFound: there is no document or stream *name*
        """
        if self._versions.valid(self._stream_id(name).prefix, self._lease) is None:
            key = self._find_valid(self._document_prefix(name), f"document {name!r}")
            jsonobject.load(key, self._read_document(key))
            return
        head = self._read_head(name, again=True)
        for problem in self._missing_packs(head, check):
            raise errors.Corrupted(f"{self._stream_id(name).prefix}: {problem}")
        if level == "full":
            self._read_all(head, progress, check)
        elif progress:
            progress(head.size)

    def missing_packs(self, name: str, *, check: Callable[[], None] | None = None) -> Iterator[str]:
        """Read the whole manifest of the stream *name*, and describe each pack that is missing or of the wrong size.

        :param check: called before every request; may raise to stop
        :raises Corrupted: a part of the manifest is missing or wrong
        :raises ObjectNotFound: there is no stream *name*
        """
        return self._missing_packs(self._read_head(name, again=True), check)

    def _missing_packs(self, head: Head, check: Callable[[], None] | None) -> Iterator[str]:
        return presence.missing(self._store, self.project_id, self._blocks.pack_uses(head), check)

    def _read_all(self, head: Head, progress: Callable[[int], None] | None, check: Callable[[], None] | None) -> None:
        done = 0
        with self._blocks.get(head, check=check) as reader:
            for chunk in reader:
                done += len(chunk)
                if progress:
                    progress(done)

    def delete(self) -> None:
        """Delete all documents and manifests, heads first. Idempotent. The collector deletes their packs."""
        keys = self._list_keys(layout.resource_prefix(self.checkpoint_id, self.resource_key))
        for key in sorted(keys, key=lambda key: layout.kind_of(key) != "manifests"):
            try:
                self._store.delete(key)
            except errors.ObjectNotFound:
                LOG.debug("%s was already deleted", key)
        if self._lease is not None:
            self._versions.forget(layout.resource_prefix(self.checkpoint_id, self.resource_key), self._lease)

    def _find_base(self, name: str) -> Head | None:
        """Return the head of the stream *name*, if a writer can build on it."""
        try:
            return self._read_head(name)
        except errors.ObjectNotFound:
            return None
        except errors.UNREADABLE as error:
            LOG.warning("A stream is stored without one of its bases: %s", error)
            return None

    def _read_head(self, name: str, *, again: bool = False) -> Head:
        """Return the head of the stream *name*.

        :param again: whether to read it from the store in any case
        """
        key = self._find_valid(self._stream_id(name).prefix, f"stream {name!r}")
        if again:
            return self._read_head_from_store(key)
        if self._under is not None and self._under.kind == "write":
            # A writer may build on it: then the lists must have been read before.
            self._under.avoid(self.project_id)
        return self._once(key, lambda: self._read_head_from_store(key))

    def _read_head_from_store(self, key: str) -> Head:
        try:
            return self._blocks.head(key, self.project_id)
        except errors.ObjectNotFound:
            raise self._missing(f"{key}: this manifest is missing") from None

    def _once(self, key: str, read: Callable[[], _T]) -> _T:
        """Return what *read* returns, or returned for *key* earlier in this operation."""
        contents = self._versions.contents
        return read() if contents is None else contents.get(key, read)

    def _remember(self, key: str, content: object) -> None:
        if self._versions.contents is not None:
            self._versions.contents.set(key, content)

    def _missing(self, message: str) -> exception.KarborLikeError:
        """Return the error for an object that is missing."""
        return self._deleted() if self._is_deleted() else errors.ObjectMissing(message)

    def _is_deleted(self) -> bool:
        """Whether the checkpoint was deleted since the operation that reads it asked: it does not ask before each hook.

        A writer builds on a checkpoint that was deleted like on one that is damaged.
        """
        return (
            self._under is not None
            and self._under.kind == "read"
            and self._store.exists(layout.tombstone_key(self.checkpoint_id))
        )

    def _deleted(self) -> exception.CheckpointNotFound:
        return exception.CheckpointNotFound(f"checkpoint {self.checkpoint_id} was deleted from the bank")

    def _find_valid(self, prefix: str, what: str) -> str:
        key = self._versions.valid(prefix, self._lease)
        if key is None:
            raise errors.ObjectNotFound(
                f"checkpoint {self.checkpoint_id} has no {what} of {self.resource_key} (looked below {prefix})"
            )
        if self._lease is not None:
            # A writer may rely on what the writer before it stored. Then its commit must pin that, too.
            self._lease.names.add(prefix)
        return key

    def _list_keys(self, prefix: str) -> list[str]:
        return [info.key for info in listing.objects(self._store, prefix)]

    def _document_prefix(self, name: str) -> str:
        return layout.document_prefix(self.checkpoint_id, self.resource_key, name)

    def _stream_id(self, name: str) -> StreamId:
        return StreamId(self.project_id, self.checkpoint_id, self.resource_key, name)

    def _require_lease(self) -> Lease:
        if self._lease is None:
            raise ValueError(f"section of {self.resource_key}: was opened without a lease; expected a write lease")
        return self._lease


def _stats(head: Head) -> StreamStats:
    return StreamStats(head.size, head.new, head.stored, head.digest, head.sha256)
