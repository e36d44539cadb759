"""The container format of archives. ``doc/source/admin/recovery.rst`` describes it for operators.

An archive is, in this order: MAGIC; the size of the header (4 bytes, big-endian); the header, JSON in clear, so that a
release can refuse an archive without its key; the encrypted chunks (:mod:`karbor_like.control.encryption`) of a Zstandard
frame of a POSIX tar file (ustar); the SHA-256 of everything before it.

Nothing of an archive is trusted. Members are regular files with relative names, read one at a time into memory of bounded
size; the format has no links, devices or extensions.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import IO, Any, Final, cast

import zstandard

from karbor_like.control import encryption, errors

MAGIC: Final = b"karbor_like control archive\n"
FORMAT: Final = 1
#: Maximum bytes of one member. A row of the largest table has up to 32 MiB, and twice that as JSON.
MAX_MEMBER: Final = 128 * 1024 * 1024
MAX_MEMBERS: Final = 1_000_000
#: Maximum directories that the names of all members have together, which are kept in memory.
MAX_DIRECTORIES: Final = 100_000
#: An archive expands at most to this many times its size, or to MIN_EXPANDED bytes.
MAX_RATIO: Final = 1000
MIN_EXPANDED: Final = 64 * 1024 * 1024

_MAX_HEADER: Final = 64 * 1024
_DIGEST_BYTES: Final = 32
_SIZE_BYTES: Final = 4
_BLOCK: Final = tarfile.BLOCKSIZE
_LEVEL: Final = 9
_MAX_WINDOW: Final = 2**27
_MAX_NAME: Final = 250
_SEGMENT: Final = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")
_COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Header:
    """What an archive says of itself in clear.

    :param release: version of the release that made it
    :param schema: version of the database's schema
    :param host: name of the host that made it
    :param created: when, ISO 8601 with the time zone
    :param key: what :meth:`.Recipient.wrap` returned
    :param format: version of the container
    """

    release: str
    schema: str
    host: str
    created: str
    key: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    :param name: relative, with ``/``
    :param mode: permissions
    :param owner: name of its owner, or empty
    :param group: name of its group, or empty
    """

    name: str
    data: bytes = field(repr=False)
    mode: int = 0o600
    owner: str = ""
    group: str = ""


def check_name(name: str) -> str:
    """Return *name* if it is a relative path without steps up. Raises BadArchive."""
    parts = name.split("/")
    if len(name) > _MAX_NAME or not all(_SEGMENT.fullmatch(part) and part not in (".", "..") for part in parts):
        raise errors.BadArchive(f"the archive: {name[:_MAX_NAME]!r} is no valid name of a member")
    return name


class Writer:
    """Writes an archive to *file*, which is empty.

    :param header: without a key
    """

    def __init__(self, file: IO[bytes], header: Header, recipient: encryption.Recipient) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._expanded = 0
        self._size = 0
        self._names = _Names()
        key = encryption.new_key()
        text = json.dumps({**asdict(header), "key": dict(recipient.wrap(key))}).encode()
        self._write(MAGIC + len(text).to_bytes(_SIZE_BYTES, "big") + text)
        self._encryptor = encryption.Encryptor(self._write, key, text)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()

    def add(self, member: Member) -> None:
        """Add a member.

        :raises BadArchive: its name is not valid or was used before, or it is too large
        """
        self._names.add(member.name)
        if len(member.data) > MAX_MEMBER:
            raise errors.BadArchive(
                f"{member.name}: has {len(member.data)} bytes; an archive takes members up to {MAX_MEMBER}"
            )
        info = tarfile.TarInfo(member.name)
        info.size, info.mode = len(member.data), member.mode
        info.uname, info.gname = member.owner[:31], member.group[:31]
        try:
            head = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
        except ValueError as error:
            raise errors.BadArchive(f"{member.name}: cannot be in an archive: {error}") from None
        self._compress(head + member.data + bytes(-len(member.data) % _BLOCK))

    def finish(self) -> str:
        """Write the end.

        :returns: SHA-256 of the whole archive, hexadecimal
        """
        self._compress(bytes(2 * _BLOCK))
        self._encryptor.write(self._compressor.flush())
        self._encryptor.finish()
        self._write(self._digest.digest())
        if self._expanded > _expansion(self._size):
            raise errors.BadArchive(f"the archive would expand from {self._size} to {self._expanded} bytes, too much")
        return self._digest.hexdigest()

    def _compress(self, data: bytes) -> None:
        self._expanded += len(data)
        self._encryptor.write(self._compressor.compress(data))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)


def read_header(file: IO[bytes]) -> tuple[Header, bytes]:
    """Read the header of the archive in *file*, from its start.

    :returns: the header, and its bytes
    :raises BadArchive: it is not an archive, or the header is damaged
    :raises WrongVersion: it has a newer format
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise errors.BadArchive("this is not an archive of the control plane")
    size = int.from_bytes(file.read(_SIZE_BYTES), "big")
    text = file.read(size) if size <= _MAX_HEADER else b""
    try:
        values = json.loads(text)
        number = values.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise errors.WrongVersion(
                f"the archive has format {number}, and this release reads {FORMAT}; release {values.get('release')!r} made it"
            )
        header = Header(**values)
        datetime.fromisoformat(header.created)
    except (AttributeError, RecursionError, TypeError, ValueError):
        raise errors.BadArchive("the archive: its header is damaged") from None
    if len(text) < size or header.format != FORMAT or not isinstance(header.key, Mapping) or not _are_texts(header):
        raise errors.BadArchive("the archive: its header is damaged")
    return header, text


def _are_texts(header: Header) -> bool:
    texts = (header.release, header.schema, header.host)
    return all(isinstance(text, str) and text.isprintable() and len(text) <= 255 for text in texts)


def digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of *file*, hexadecimal."""
    found = hashlib.sha256()
    while block := file.read(_COPY_BYTES):
        found.update(block)
    return found.hexdigest()


def check(file: IO[bytes]) -> Header:
    """Compare the archive in *file* with its checksum. Needs no key.

    :raises BadArchive: it is damaged, truncated or not an archive
    """
    size = _size(file)
    header, _ = read_header(file)
    file.seek(0)
    found = hashlib.sha256()
    left = size - _DIGEST_BYTES
    while left > 0:
        block = file.read(min(left, _COPY_BYTES))
        if not block:
            break
        found.update(block)
        left -= len(block)
    if left or file.read(_DIGEST_BYTES) != found.digest():
        raise errors.BadArchive("the archive is damaged or truncated: its checksum is wrong")
    return header


def read(file: IO[bytes], identity: encryption.Identity) -> Iterator[Member]:
    """Yield the members of the archive in *file*, in order.

    The archive is intact only when the last one was read.

    :raises BadArchive: it is damaged, truncated or hostile
    :raises WrongKey: *identity* does not open it
    """
    size = _size(file)
    header, text = read_header(file)
    key = identity.unwrap(header.key)
    rest = size - file.tell() - _DIGEST_BYTES
    plain = _Plain(encryption.decrypted(file, rest, key, text))
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    try:
        with decompressor.stream_reader(cast(IO[bytes], plain), read_size=encryption.CHUNK, closefd=False) as stream:
            yield from _members(_Limited(stream, _expansion(size)))
    except zstandard.ZstdError:
        raise errors.BadArchive("the archive: what is in it is not compressed as expected") from None
    plain.expect_end()


def _members(stream: "_Limited") -> Iterator[Member]:
    names = _Names()
    while True:
        block = stream.take(_BLOCK)
        if block == bytes(_BLOCK):
            if stream.take(_BLOCK) != bytes(_BLOCK) or stream.read(1):
                raise errors.BadArchive("the archive: something follows its end")
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError):
            raise errors.BadArchive("the archive: the head of a member is damaged") from None
        # A directory with this type has a name that ends with a slash, which is removed from it.
        if info.type != tarfile.REGTYPE or not 0 <= info.size <= MAX_MEMBER:
            raise errors.BadArchive(
                f"the archive: member {info.name[:_MAX_NAME]!r} is not a regular file of at most {MAX_MEMBER} bytes"
            )
        names.add(info.name)
        data = stream.take(info.size)
        stream.take(-info.size % _BLOCK)
        yield Member(info.name, data, info.mode & 0o777, info.uname, info.gname)


class _Names:
    """The names of the members of one archive, none of which is used twice, or as the directory of another."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._directories: set[str] = set()

    def add(self, name: str) -> None:
        """Add a name. Raises BadArchive."""
        parts = check_name(name).split("/")
        directories = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if name in self._files or name in self._directories or not self._files.isdisjoint(directories):
            raise errors.BadArchive(f"the archive: {name!r} is in it twice, or is also a directory")
        if len(self._files) == MAX_MEMBERS:
            raise errors.BadArchive(f"the archive: has more than {MAX_MEMBERS} members")
        self._files.add(name)
        self._directories |= directories
        if len(self._directories) > MAX_DIRECTORIES:
            raise errors.BadArchive(f"the archive: has more than {MAX_DIRECTORIES} directories")


class _Limited:
    """A stream of at most *limit* bytes."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise errors.BadArchive("the archive expands to more than an archive of its size may")
        return data

    def take(self, size: int) -> bytes:
        """Return exactly *size* bytes. Raises BadArchive."""
        pieces = []
        left = size
        while left:
            piece = self.read(min(left, _COPY_BYTES))
            if not piece:
                raise errors.BadArchive("the archive: its contents are truncated")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class _Plain(io.RawIOBase):
    """The decrypted chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data

    def expect_end(self) -> None:
        """Raise BadArchive if anything is left."""
        if self.read(1):
            raise errors.BadArchive("the archive: something follows its contents")


def _expansion(size: int) -> int:
    return max(MIN_EXPANDED, MAX_RATIO * size)


def _size(file: IO[bytes]) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
