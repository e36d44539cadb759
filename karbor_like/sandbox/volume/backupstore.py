"""The bytes of backups: a directory that several sandboxes may share, as two sites share an object store.

Each backup is a file with its blocks and an index. An incremental backup only has the blocks that differ from its parent's.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from karbor_like.sandbox import errors, files

BLOCK = 32 << 10
"""Bytes that are compared and stored as one."""

HOLE = -1
"""Position of a block of zeros, of which no bytes are stored."""


class BackupStore:
    """Backups by the container and the prefix that their records name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(
        self, name: tuple[str, str], source: Path, parent: tuple[str, str] | None, extra: Any, check: Callable[[], None]
    ) -> int:
        """Store a file.

        :param parent: the backup that an incremental one is based on
        :param extra: stored with the index, as JSON
        :param check: called for every mebibyte; its exception ends the backup
        :returns: number of stored blocks
        :raises JobFailed: the parent's data is missing
        """
        before = self._index(parent)["hashes"] if parent else None
        hashes: list[str] = []
        places: dict[int, int] = {}
        end = 0
        with self._data(name).open("wb") as target:
            for chunk in files.read(source):
                check()
                empty = files.is_zero(chunk)
                for start in range(0, len(chunk), BLOCK):
                    block = chunk[start : start + BLOCK]
                    hole = empty or files.is_zero(block)
                    digest = "" if hole else hashlib.sha256(block).hexdigest()
                    number = len(hashes)
                    hashes.append(digest)
                    if digest == (before[number] if before and number < len(before) else ""):
                        continue
                    places[number] = HOLE if hole else end
                    end += 0 if hole else target.write(block)
        index = {"size": source.stat().st_size, "hashes": hashes, "places": places, "extra": extra}
        partial = self._path(name, f"part-{os.getpid()}")
        partial.write_text(json.dumps(index))
        partial.replace(self._path(name, "index"))
        return len(places)

    def restore(self, chain: Sequence[tuple[str, str]], target: Path, check: Callable[[], None]) -> list[Any]:
        """Write the content of a backup into *target*, which has holes only.

        :param chain: the full backup and the incremental ones on it, in order; the last one is restored
        :param check: called before every block; its exception ends the restore
        :returns: what was stored as *extra* with each of them
        :raises JobFailed: data of one of them is missing
        """
        indexes = [self._index(name) for name in chain]
        latest: dict[int, tuple[tuple[str, str], int]] = {}
        for name, index in zip(chain, indexes, strict=True):
            latest |= {int(block): (name, place) for block, place in index["places"].items()}
        last = indexes[-1]["size"]
        with target.open("r+b") as file:
            for name in chain:
                with self._opened(name) as data:
                    for block, (holder, place) in latest.items():
                        if holder == name and place != HOLE:
                            check()
                            data.seek(place)
                            file.seek(block * BLOCK)
                            file.write(data.read(min(BLOCK, last - block * BLOCK)))
        return [index["extra"] for index in indexes]

    def remove(self, name: tuple[str, str]) -> None:
        """Delete the data of a backup, if there is any."""
        for part in ("index", "data"):
            files.remove(self._path(name, part))

    def _index(self, name: tuple[str, str]) -> dict[str, Any]:
        try:
            return json.loads(self._path(name, "index").read_text())
        except FileNotFoundError:
            raise _missing(name) from None

    def _opened(self, name: tuple[str, str]) -> Any:
        try:
            return self._data(name).open("rb")
        except FileNotFoundError:
            raise _missing(name) from None

    def _data(self, name: tuple[str, str]) -> Path:
        return self._path(name, "data")

    def _path(self, name: tuple[str, str], part: str) -> Path:
        # Container and prefix come from clients and from imported records.
        return self._folder / f"{hashlib.sha256(json.dumps(name).encode()).hexdigest()}.{part}"


def _missing(name: tuple[str, str]) -> errors.JobFailed:
    return errors.JobFailed(f"Object GET failed: {name[0]}/{name[1]} 404 Not Found")
