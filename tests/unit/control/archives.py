"""Archives for tests, for a key that costs nothing."""

import io
import tarfile
from collections.abc import Sequence
from typing import Any

import zstandard

from karbor_like.control import archive, encryption

CREATED = "2030-01-01T00:00:00+00:00"


class Plain:
    """A recipient and identity without any secret."""

    def wrap(self, key: bytes) -> dict[str, Any]:
        return {"kind": "plain", "key": key.hex()}

    def unwrap(self, wrapped: Any) -> bytes:
        return bytes.fromhex(wrapped["key"])


def header(**values: Any) -> archive.Header:
    return archive.Header(**{"release": "0.1", "schema": "0001", "host": "alpha", "created": CREATED, **values})


def make(members: Sequence[archive.Member] = (), **values: Any) -> io.BytesIO:
    """Return an archive."""
    file = io.BytesIO()
    writer = archive.Writer(file, header(**values), Plain())
    for member in members:
        writer.add(member)
    writer.finish()
    return file


class Raw(archive.Writer):
    """Writes what no correct writer would."""

    def raw(self, data: bytes) -> None:
        self._compress(data)

    def uncompressed(self, data: bytes) -> None:
        self._encryptor.write(data)


def hostile(info: tarfile.TarInfo, data: bytes = b"", end: bytes = b"") -> io.BytesIO:
    """Return an archive with a member that *info* describes."""
    file = io.BytesIO()
    writer = Raw(file, header(), Plain())
    writer.raw(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) + end)
    writer.finish()
    return file


def bomb(size: int) -> io.BytesIO:
    """Return an archive of a member with *size* zeros, whose compressed form is tiny."""
    file = io.BytesIO()
    writer = Raw(file, header(), Plain())
    for number in range(size // archive.MAX_MEMBER + 1):
        info = tarfile.TarInfo(f"etc/{number}")
        info.size = archive.MAX_MEMBER
        writer.raw(info.tobuf())
        for _ in range(archive.MAX_MEMBER // 2**20):
            writer.raw(bytes(2**20))
    writer._expanded = 0
    writer.finish()
    return file


def read(file: io.BytesIO) -> list[archive.Member]:
    """Read an archive as a restore does."""
    archive.check(file)
    return list(archive.read(file, Plain()))


__all__ = ["CREATED", "Plain", "Raw", "bomb", "encryption", "header", "hostile", "make", "read", "zstandard"]
