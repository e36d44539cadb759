"""The two standard volumes, and streams that are too long to be stored.

Everything is deterministic, so that figures of different days and machines refer to the same bytes.
"""

import hashlib
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30

#: Bytes that are rewritten together in the second volume.
CHANGED_PIECE: Final = 64 * 1024
_ONE_IN: Final = 50  # two percent of them

_WORDS: Final = 4000


@dataclass(frozen=True)
class Volumes:
    """Two files: a volume, and the same volume a day later."""

    first: Path
    second: Path
    size: int


class _Content:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = [f"{self._random.getrandbits(24):x}".encode() for _ in range(_WORDS)]

    def noise(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def text(self, size: int) -> bytes:
        """Return words with spaces and occasional newlines, which zstd compresses to half the size."""
        lines = bytearray()
        while len(lines) < size:
            lines += b" ".join(self._random.choices(self._words, k=2000)) + b"\n"
        return bytes(lines[:size])

    def some_of(self, count: int, population: int) -> list[int]:
        return sorted(self._random.sample(range(population), count))


def make(directory: Path, mebibytes: int) -> Volumes:
    """Create the standard volumes in *directory*, unless they exist.

    The first one is a quarter random, a quarter text-like and half zero. The second one is the same with two percent of its
    64 KiB pieces rewritten, at random positions.
    """
    directory.mkdir(parents=True, exist_ok=True)
    volumes = Volumes(directory / f"first-{mebibytes}", directory / f"second-{mebibytes}", mebibytes * MIB)
    if volumes.second.exists() and volumes.second.stat().st_size == volumes.size:
        return volumes
    content = _Content(seed=7)
    with volumes.first.open("wb") as file:
        for number in range(mebibytes):
            quarter = number * 4 // mebibytes
            file.write((content.noise, content.text, bytes, bytes)[quarter](MIB))
    partial = volumes.second.with_suffix(".partial")
    shutil.copyfile(volumes.first, partial)
    pieces = volumes.size // CHANGED_PIECE
    with partial.open("r+b") as file:
        for piece in content.some_of(pieces // _ONE_IN, pieces):
            file.seek(piece * CHANGED_PIECE)
            file.write(content.noise(CHANGED_PIECE))
    partial.rename(volumes.second)
    return volumes


def changed(volumes: Volumes) -> Iterator[tuple[int, int]]:
    """Yield offset and length of each piece that differs between the two volumes."""
    with volumes.first.open("rb") as first, volumes.second.open("rb") as second:
        for offset in range(0, volumes.size, CHANGED_PIECE):
            if first.read(CHANGED_PIECE) != second.read(CHANGED_PIECE):
                yield offset, min(CHANGED_PIECE, volumes.size - offset)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def noise(seed: str, size: int) -> bytes:
    """Return *size* random bytes, which depend on *seed*."""
    return random.Random(seed).randbytes(size)


def long_stream(size: int) -> Iterator[bytes]:
    """Yield a stream of *size* bytes like the first volume, in mebibytes: random, text-like, zero and zero, in turn.

    No two blocks are equal, except zeros. It needs negligible time and two mebibytes of memory.
    """
    content = _Content(seed=11)
    kinds = [content.noise(MIB), content.text(MIB), bytes(MIB), bytes(MIB)]
    for number in range(size // MIB):
        kind = number % len(kinds)
        yield kinds[kind] if kind >= 2 else _unlike_all_others(kinds[kind], number)


def sparse_stream(size: int, written: int) -> Iterator[bytes]:
    """Yield *size* bytes of zeros with *written* bytes of random and text-like mebibytes in between, evenly spread."""
    content = _Content(seed=13)
    kinds, zeros = [content.noise(MIB), content.text(MIB)], bytes(MIB)
    total, full = size // MIB, written // MIB
    done = 0
    for number in range(total):
        if done * total <= number * full and done < full:
            yield _unlike_all_others(kinds[done % 2], number)
            done += 1
        else:
            yield zeros


def _unlike_all_others(template: bytes, number: int) -> bytes:
    """Return *template* with its number in every 4 KiB, so that its blocks differ from those of all other mebibytes."""
    data = bytearray(template)
    stamp = number.to_bytes(8, "big")
    for at in range(0, len(data), 4096):
        data[at : at + 8] = stamp
    return bytes(data)
