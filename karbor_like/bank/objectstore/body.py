"""A file over several buffers, so that an HTTP client sends them without a copy."""

import bisect
import io
import itertools
from collections.abc import Sequence

from karbor_like.bank.objectstore import base


class Body(io.RawIOBase):
    """A read-only file whose contents are *buffers*, which are not copied."""

    def __init__(self, buffers: Sequence[base.Buffer]) -> None:
        super().__init__()
        self._buffers = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        self._ends = list(itertools.accumulate(view.nbytes for view in self._buffers))
        self._at = 0
        #: Total bytes.
        self.size = self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        """Copy as many bytes as fit into *target*. Returns 0 only at the end."""
        number = bisect.bisect_right(self._ends, self._at)
        done = 0
        while done < len(target) and number < len(self._buffers):
            view = self._buffers[number]
            start = self._at - (self._ends[number] - view.nbytes)
            part = view[start : start + len(target) - done]
            target[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
            number += 1
        return done
