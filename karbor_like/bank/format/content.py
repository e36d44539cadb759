"""The digest of a stream's content, computed from the manifest: it depends on the blocks, not on where they are stored.

Streams of one project with equal contents have equal digests, whichever blocks a writer read and whichever it took over from
an earlier manifest. The bytes are described in ``doc/source/contributor/bank-format.rst``, section *Digest of the content*.
"""

import hashlib
import struct
from typing import TYPE_CHECKING

from karbor_like.bank import errors

if TYPE_CHECKING:
    from karbor_like.bank.format.manifest import Head

_STREAM = struct.Struct("<QII")
_NUMBER = struct.Struct("<I")


class Content:
    """Collector of the digests of a stream's segments, in any order and from any thread.

    :param block_size: bytes of a block
    :param segment_blocks: blocks of a segment
    """

    def __init__(self, block_size: int, segment_blocks: int) -> None:
        self._block_size = block_size
        self._segment_blocks = segment_blocks
        self._segments: dict[int, bytes] = {}

    def add(self, number: int, digest: bytes) -> None:
        """Record the digest of segment *number*, the result of :func:`karbor_like.bank.format.segment.digest`."""
        self._segments[number] = digest

    def digest(self, size: int) -> str:
        """Return the digest of the stream, hexadecimal, when every segment was added.

        :param size: bytes of the stream
        """
        whole = hashlib.sha256(_STREAM.pack(size, self._block_size, self._segment_blocks))
        for number in sorted(self._segments):
            whole.update(_NUMBER.pack(number))
            whole.update(self._segments[number])
        return whole.hexdigest()

    def require(self, head: "Head") -> None:
        """Raise Corrupted unless the segments that were added make the digest of *head*.

        Version 1 of heads has no such digest.
        """
        if head.states_content and self.digest(head.size) != head.digest:
            raise errors.Corrupted(
                f"{head.prefix}: the digest of the blocks that the manifest lists is {self.digest(head.size)}; expected"
                f" {head.digest}"
            )
