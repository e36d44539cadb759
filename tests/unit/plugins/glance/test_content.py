"""Detection of disk formats by their headers."""

import random
import struct

import pytest

from karbor_like.plugins.glance import content

QCOW2 = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 65536)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"LUKS\xba\xbe\x00\x02", "luks"),
        (b"LUKS\xba\xbe\x00\x01", "luks"),
        (QCOW2, "qcow2"),
        (b"KDMV" + struct.pack("<IIQQQQ", 1, 3, 0, 128, 1, 20), "vmdk"),
        (b"conectix", "vhd"),
        (bytes(510) + b"\x55\xaa", None),
        (b"", None),
        (random.Random(1).randbytes(100_000), None),
    ],
)
@pytest.mark.parametrize("size", [64 * 1024, 1 << 20])
def test_detect(head: bytes, found: str | None, size: int) -> None:
    assert content.detect(head.ljust(size, b"\0")[:size]) == found


def test_short_content() -> None:
    assert content.detect(b"") is None
    assert content.detect(b"QFI\xfb") is None


def test_head_of_a_stream() -> None:
    head = content.Head()
    pieces = [QCOW2[:10], QCOW2[10:], bytes(1 << 20)]
    assert list(head.watch(pieces)) == pieces
    assert head.format == "qcow2"
