"""Headers of qcow2 files, read without QEMU: so nothing that a header names is opened before it was checked.

Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
"""

import os
import struct
from dataclasses import dataclass
from typing import Final

_MAGIC: Final = b"QFI\xfb"
_HEADER: Final = struct.Struct(">4sIQIIQI")
_HEADER_2_BYTES: Final = 72
_EXTERNAL_DATA: Final = 1 << 2
_EXTENSION_FORMAT: Final = 0xE2792ACA
_MOST_NAME_BYTES: Final = 1023
#: Extensions are at the beginning of the file; those that matter here are short.
_READ_BYTES: Final = 65536


class BadHeader(ValueError):
    """A header is wrong, or describes what is not supported."""


@dataclass(frozen=True)
class Header:
    """What a header says.

    :param size: bytes of the volume
    :param backing: name of the file below it
    :param backing_format: its format; None if the header does not state it
    """

    size: int
    backing: str | None = None
    backing_format: str | None = None


def read_header(descriptor: int) -> Header:
    """Read the header of a file.

    :raises BadHeader: it is not a header of qcow2, the image is encrypted, or its data are in another file
    :raises OSError: the file cannot be read
    """
    start = os.pread(descriptor, _READ_BYTES, 0)
    if len(start) < _HEADER_2_BYTES:
        raise BadHeader("too short for a qcow2 file")
    magic, version, name_at, name_size, _, size, encryption = _HEADER.unpack_from(start)
    if magic != _MAGIC or version not in (2, 3):
        raise BadHeader("not a qcow2 file of version 2 or 3")
    if encryption:
        raise BadHeader("the image is encrypted")
    extensions_at = _HEADER_2_BYTES
    if version == 3:
        if len(start) < 104:
            raise BadHeader("too short for a qcow2 file")
        features, extensions_at = struct.unpack_from(">Q", start, 72)[0], struct.unpack_from(">I", start, 100)[0]
        if features & _EXTERNAL_DATA:
            raise BadHeader("the data are in another file")
    if not name_at:
        return Header(size)
    if not 1 <= name_size <= _MOST_NAME_BYTES:
        raise BadHeader(f"a name of {name_size} bytes")
    name = os.pread(descriptor, name_size, name_at)
    if len(name) != name_size or b"\0" in name:
        raise BadHeader("the name of the file below it is cut")
    return Header(size, os.fsdecode(name), _backing_format(start, extensions_at))


def _backing_format(start: bytes, at: int) -> str | None:
    """Find the extension that states the format of the file below."""
    while at + 8 <= len(start):
        kind, length = struct.unpack_from(">II", start, at)
        if kind == 0:
            break
        if kind == _EXTENSION_FORMAT:
            return start[at + 8 : at + 8 + min(length, 64)].decode("ascii", errors="replace")
        at += 8 + (length + 7) // 8 * 8
    return None
