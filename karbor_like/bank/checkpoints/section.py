"""One resource's part of one checkpoint: all of the bank that a plugin sees."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal

from karbor_like.bank import errors, layout
from karbor_like.bank.blocks import presence
from karbor_like.bank.blocks.blockstore import BlockStore, StreamId
from karbor_like.bank.blocks.reader import StreamReader
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.format import jsonobject, seal
from karbor_like.bank.format.manifest import Head
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectStore

LOG = logging.getLogger(__name__)

Level = Literal["quick", "full"]


@dataclass(frozen=True)
class StreamStats:
    """What a stream took. Bytes.

    :param logical: of the stream
    :param new: of the stream's blocks that no base had, and that were no zeros
    :param stored: that were written to the bank for those
    :param digest: SHA-256 of the stream, hexadecimal
    """

    logical: int
    new: int
    stored: int
    digest: str


class ResourceSection:
    """Documents and streams of one resource in one checkpoint. Made by :meth:`karbor_like.bank.bank.Bank.section`.

    :param lease: under which it is written; None: it can only be read and deleted
    """

    def __init__(
        self,
        store: ObjectStore,
        blocks: BlockStore,
        attempts: ObjectVersions,
        *,
        checkpoint_id: str,
        project_id: str,
        resource_key: str,
        lease: Lease | None,
    ) -> None:
        self.checkpoint_id: Final = checkpoint_id
        self.project_id: Final = project_id
        self.resource_key: Final = resource_key
        self._store = store
        self._blocks = blocks
        self._attempts = attempts
        self._lease = lease

    # Documents.

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON object under *name*. May be done again: the last one is valid. Raises LeaseLost."""
        lease = self._writing()
        key = self._attempts.new_key(self._document_prefix(name), lease)
        self._store.put(key, self._blocks.seal(key, self.project_id, jsonobject.dump(value), lease))

    def get(self, name: str) -> dict[str, Any]:
        """The JSON object that is stored under *name*. Raises ObjectNotFound, or Corrupted."""
        key = self._valid(self._document_prefix(name), f"document {name!r}")
        try:
            data = self._store.get(key)
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this document is missing") from None
        return jsonobject.load(key, seal.unseal(key, data, self._blocks.resolver_for(self.project_id)))

    def names(self) -> Sequence[str]:
        """Names of all documents and streams, sorted. In a checkpoint that is not committed yet, what a listing shows."""
        return sorted({*self.documents(), *self.streams()})

    def documents(self) -> Sequence[str]:
        """As :meth:`names`, of documents."""
        return sorted(self._named("documents"))

    def streams(self) -> Sequence[str]:
        """As :meth:`names`, of streams."""
        return sorted(self._named("manifests"))

    def _named(self, kind: str) -> Set[str]:
        prefix = layout.resource_prefix(self.checkpoint_id, self.resource_key)
        keys = list(self._attempts.pins.values()) if self._attempts.pins else self._listed(prefix)
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
        """Store all bytes of *stream* under *name*. May be done again: the last one is valid.

        :param size: bytes that the stream must have
        :param bases: sections whose stream *name* to refer to where it is the same, the most similar first; the lease must
            name their checkpoints
        :param progress: called with the bytes done so far
        :param check: called every few MiB; may raise to stop, and then nothing can be read under *name*
        :raises Unavailable: the stream ended too early or too late
        :raises LeaseLost: the lease ran out, or another process writes this checkpoint now
        """
        lease = self._writing()
        self._attempts.claim(lease)
        # What the collector is about to delete must be known before anything that is built on is read.
        lease.avoid(self.project_id)
        heads = [head for head in (section._base(name) for section in bases) if head]
        prefix = self._stream_id(name).prefix
        head = self._blocks.put(
            self._stream_id(name),
            stream,
            lease,
            lambda: self._attempts.new_key(prefix, lease),
            bases=heads,
            size=size,
            progress=progress,
            check=check,
        )
        return _stats(head)

    def read(self, name: str, *, check: Callable[[], None] | None = None) -> StreamReader:
        """The stream *name*, to be read once. Raises ObjectNotFound, or Corrupted, also while it is read.

        :param check: called every few MiB; may raise to stop
        """
        return self._blocks.get(self._head(name), check=check)

    def stats(self, name: str) -> StreamStats:
        """What was noted when the stream was written. Raises ObjectNotFound, or Corrupted."""
        return _stats(self._head(name))

    def verify(
        self,
        name: str,
        level: Level,
        *,
        progress: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Look whether the document or stream *name* can be read back.

        :param level: ``quick``: the whole manifest can be read, and every pack that it needs is there, with its size, as far
            as listings say;
            ``full``: and every block is read and compared with its hash, and the stream with its SHA-256
        :param progress: called with the bytes of the stream that are found right so far
        :raises Corrupted: something is missing or wrong; names what
        :raises ObjectNotFound: there is no document or stream *name*
        """
        if self._attempts.valid(self._stream_id(name).prefix) is None:
            self.get(name)
            return
        head = self._head(name)
        for finding in presence.missing(self._store, self.project_id, self._blocks.pack_uses(head), check):
            raise errors.Corrupted(f"{self._stream_id(name).prefix}: {finding}")
        if level == "full":
            self._read_all(head, progress, check)
        elif progress:
            progress(head.size)

    def _read_all(self, head: Head, progress: Callable[[int], None] | None, check: Callable[[], None] | None) -> None:
        done = 0
        with self._blocks.get(head, check=check) as reader:
            for chunk in reader:
                done += len(chunk)
                if progress:
                    progress(done)

    def delete(self) -> None:
        """Remove all documents and manifests, heads first. May be done again. What they needed is the collector's."""
        keys = self._listed(layout.resource_prefix(self.checkpoint_id, self.resource_key))
        for key in sorted(keys, key=lambda key: layout.kind_of(key) != "manifests"):
            try:
                self._store.delete(key)
            except errors.ObjectNotFound:
                LOG.debug("%s was already gone", key)

    def _base(self, name: str) -> Head | None:
        """The head of the stream *name*, if it can be built on."""
        try:
            return self._head(name)
        except errors.ObjectNotFound:
            return None
        except errors.UNREADABLE as error:
            LOG.warning("a stream is stored without one of its bases: %s", error)
            return None

    def _head(self, name: str) -> Head:
        key = self._valid(self._stream_id(name).prefix, f"stream {name!r}")
        try:
            return self._blocks.head(key, self.project_id)
        except errors.ObjectNotFound:
            raise errors.Corrupted(f"{key}: this manifest is missing") from None

    def _valid(self, prefix: str, what: str) -> str:
        key = self._attempts.valid(prefix)
        if key is None:
            raise errors.ObjectNotFound(
                f"checkpoint {self.checkpoint_id} has no {what} of {self.resource_key} (looked below {prefix})"
            )
        if self._lease is not None:
            # Who writes this checkpoint may rely on what the writer before it left, and so must its commit.
            self._lease.names.add(prefix)
        return key

    def _listed(self, prefix: str) -> list[str]:
        return [info.key for info in listing.objects(self._store, prefix)]

    def _document_prefix(self, name: str) -> str:
        return layout.document_prefix(self.checkpoint_id, self.resource_key, name)

    def _stream_id(self, name: str) -> StreamId:
        return StreamId(self.project_id, self.checkpoint_id, self.resource_key, name)

    def _writing(self) -> Lease:
        if self._lease is None:
            raise ValueError(f"this section of {self.resource_key} was opened without a lease, for reading only")
        return self._lease


def _stats(head: Head) -> StreamStats:
    return StreamStats(head.size, head.new, head.stored, head.digest)
