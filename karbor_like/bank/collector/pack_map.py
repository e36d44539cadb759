"""A compact map from millions of pack ids to numbers, for the mark phase of garbage collection."""

import array
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Bytes of a pack's id. Fixed-width byte strings compare like ids: trailing zeros are dropped on both sides.
ID_BYTES: Final = 16
_DTYPE: Final = np.dtype(f"S{ID_BYTES}")
_MIN_PENDING: Final = 65536


def ids_of(packs: Iterable[bytes]) -> NDArray[np.bytes_]:
    """Convert ids of 16 bytes each to one array."""
    return np.frombuffer(b"".join(packs), dtype=_DTYPE)


class PackTable:
    """A map from pack ids to numbers. Takes about 40 bytes per pack.

    Additions are buffered, and merged when they are as many as the merged entries. So the work is proportional to the number
    of additions, up to a logarithm.

    :param combine: combines two numbers of one pack: ``numpy.add`` or ``numpy.maximum``
    """

    def __init__(self, combine: np.ufunc) -> None:
        self._combine = combine
        self._ids: NDArray[np.bytes_] = np.empty(0, _DTYPE)
        self._numbers: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._pending_ids = bytearray()
        self._pending_numbers = array.array("Q")

    def add(self, pack: bytes, number: int) -> None:
        """Add one pack."""
        self._pending_ids += pack
        self._pending_numbers.append(number)
        if len(self._pending_numbers) >= max(_MIN_PENDING, len(self._ids)):
            self._merge()

    def add_all(self, other: "PackTable") -> None:
        """Add all entries of *other*."""
        other._merge()
        self._pending_ids += other._ids.tobytes()
        self._pending_numbers.frombytes(other._numbers.tobytes())
        if len(self._pending_numbers) >= max(_MIN_PENDING, len(self._ids)):
            self._merge()

    def __len__(self) -> int:
        """Return the number of packs."""
        self._merge()
        return len(self._ids)

    def numbers(self, packs: Sequence[bytes]) -> Sequence[int | None]:
        """Return the numbers of *packs*, None for each unknown pack."""
        self._merge()
        if not len(self._ids) or not packs:
            return [None] * len(packs)
        wanted = ids_of(packs)
        at = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        known = self._ids[at] == wanted
        numbers = self._numbers[at]
        return [int(number) if is_known else None for is_known, number in zip(known, numbers, strict=True)]

    def _merge(self) -> None:
        if not self._pending_numbers:
            return
        ids = np.concatenate([self._ids, np.frombuffer(bytes(self._pending_ids), dtype=_DTYPE)])
        numbers = np.concatenate([self._numbers, np.frombuffer(self._pending_numbers, dtype=np.uint64)])
        self._pending_ids = bytearray()
        self._pending_numbers = array.array("Q")
        order = np.argsort(ids, kind="stable")
        ids, numbers = ids[order], numbers[order]
        first = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
        self._ids = ids[first]
        self._numbers = self._combine.reduceat(numbers, first)
