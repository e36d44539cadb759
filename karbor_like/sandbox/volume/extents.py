"""Maps of the bytes of volumes and snapshots, for readers of single ranges: what is allocated, and what has changed."""

from pathlib import Path

from karbor_like.sandbox import files

#: Bytes of a cluster, the least that a map tells apart.
CLUSTER = 16 * 1024


def allocated(path: Path) -> list[tuple[int, int]]:
    """Return offset and length of the ranges that are not zero, in ascending order."""
    return _ranges(path, None)


def changed(path: Path, since: Path) -> list[tuple[int, int]]:
    """Return offset and length of the ranges that differ from the data in *since*; beyond its end, from zeros."""
    return _ranges(path, since)


def _ranges(path: Path, since: Path | None) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    with path.open("rb") as file, (since or Path("/dev/null")).open("rb") as before:
        position = 0
        while data := file.read(CLUSTER):
            old = before.read(CLUSTER).ljust(len(data), b"\0")[: len(data)]
            if data != old:
                if found and sum(found[-1]) == position:
                    found[-1] = (found[-1][0], found[-1][1] + len(data))
                else:
                    found.append((position, len(data)))
            position += len(data)
    return found


def read(path: Path, offset: int, length: int) -> bytes:
    """Return a range, which ends with the data."""
    return b"".join(files.read(path, offset, length))
