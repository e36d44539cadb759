"""The bytes of requests: a file over several buffers, which an HTTP client sends without a copy, and a buffer to fill."""

import bisect
import io
import itertools
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

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


class Sink:
    """A buffer that a response is read into, piece by piece, by a thread that may be abandoned. A context manager.

    After the context, no piece changes the buffer any more: its owner may use it for something else.
    """

    def __init__(self, target: memoryview) -> None:
        self.size: Final = len(target)
        self._target: memoryview | None = target
        self._lock = threading.Lock()

    def write(self, at: int, piece: bytes) -> None:
        """Copy *piece* to offset *at*. Raises TimeoutError after the context."""
        with self._lock:
            if self._target is None:
                raise TimeoutError("the request for these bytes was given up")
            self._target[at : at + len(piece)] = piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._target = None
