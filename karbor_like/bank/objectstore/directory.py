"""Names in the directories of a bank that is in a file system.

A file system returns the names in a directory in no order, and always all of them. So a page of a listing costs as much as
reading the whole directory. The directories of the index have one name for every checkpoint. From them, the names of many
pages are read at once and kept until the directory changes.
"""

import bisect
import heapq
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from karbor_like.bank import layout
from karbor_like.clock import Clock

#: Names that one read of a directory of the index keeps, and directories of which names are kept: together about 20 MB.
_NAMES: Final = 10_000
_DIRECTORIES: Final = 10
#: Seconds after a change of a directory for which its names are not kept. A file system may round times to two seconds, so a
#: second change may leave the time as it is.
_SETTLED: Final = 3.0
#: Seconds for which names are kept at most. Limits the harm where a file system does not set the times of directories, or its
#: clock is behind: the pages of the index are then late, which listings may be. No other listing uses kept names.
_LONGEST: Final = 300.0


class Selection:
    """The files and directories that a listing must visit. The names of directories end with a slash."""

    def __init__(self, prefix: str, marker: str, limit: int) -> None:
        self.prefix = prefix
        self.marker = marker
        self.limit = max(limit, 1)

    def __contains__(self, name: str) -> bool:
        if not name.endswith("/"):
            return name > self.marker and name.startswith(self.prefix)
        in_prefix = name.startswith(self.prefix) or self.prefix.startswith(name)
        return in_prefix and (name > self.marker or self.marker.startswith(name))


@dataclass(frozen=True)
class _Kept:
    """Names of a directory that were read once.

    :param state: what the directory was when it was read
    :param until: monotonic time until which the names may be used
    :param selection: what was read; :meth:`first` is asked for the same prefix
    :param names: the first ones that *selection* contains, in order
    """

    state: tuple[int, int, int]
    until: float
    selection: Selection
    names: Sequence[str]

    def first(self, selection: Selection, last: str) -> Sequence[str] | None:
        """Return the first names of *selection* after *last*; None if others may belong to them."""
        after = max(selection.marker, last)
        if after < self.selection.marker:
            return None
        # A directory that contains the marker sorts just before it.
        at = max(0, bisect.bisect_right(self.names, after) - 1)
        found = _first(itertools.islice(self.names, at, None), selection, last, itertools.islice)
        return found if len(found) == selection.limit or len(self.names) < self.selection.limit else None


class Directories:
    """Reads names in directories. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[
            tuple[str, str], _Kept
        ] = {}  # (path, prefix of the listing), the one that was used last is last

    def first(self, folder: int, path: str, selection: Selection, last: str = "") -> Sequence[str]:
        """Return the first names of *selection* after *last* in a directory, in order.

        :param folder: its file descriptor
        :param path: its path in the store; empty, or ending with a slash
        """
        if not path.startswith(layout.INDICES):
            return _first(_names(folder, path), selection, last, _smallest)
        status = os.fstat(folder)
        state = (status.st_dev, status.st_ino, status.st_mtime_ns)
        with self._lock:
            kept = self._kept.pop((path, selection.prefix), None)
            if kept is not None and kept.state == state and self._clock.monotonic() < kept.until:
                self._kept[path, selection.prefix] = kept
                found = kept.first(selection, last)
                if found is not None:
                    return found
        ahead = Selection(selection.prefix, max(selection.marker, last), max(_NAMES, selection.limit))
        names = _first(_names(folder, path), ahead, "", _smallest)
        kept = _Kept(state, self._clock.monotonic() + _LONGEST, ahead, names)
        if self._clock.now().timestamp() - status.st_mtime >= _SETTLED:
            with self._lock:
                self._kept[path, selection.prefix] = kept
                while len(self._kept) > _DIRECTORIES:
                    del self._kept[next(iter(self._kept))]
        return _first(names, selection, last, itertools.islice)


def _first(
    names: Iterable[str],
    selection: Selection,
    last: str,
    take: Callable[[Iterable[str], int], Iterable[str]],
) -> Sequence[str]:
    return list(take((name for name in names if name > last and name in selection), selection.limit))


def _smallest(names: Iterable[str], limit: int) -> Iterable[str]:
    return heapq.nsmallest(limit, names)


def _names(folder: int, path: str) -> Iterator[str]:
    """Yield the names in an open directory: keys, ``.tmp`` and foreign files. Those of directories end with a slash."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield path + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
