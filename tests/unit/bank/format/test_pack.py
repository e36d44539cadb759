import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.bank import errors, layout
from karbor_like.bank.format import codec, pack
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.format.segment import PackRef

KEY = DataKey("p1", "0" * 31 + "1", bytes(range(32)))
OTHER = DataKey("p2", "0" * 31 + "2", bytes(range(32)))
SIZE = 20_000

blocks = st.lists(
    st.binary(min_size=1, max_size=600) | st.builds(lambda n: b"text " * n, st.integers(1, 200)),
    min_size=1,
    max_size=12,
)


def fill(contents, data_key):
    """A finished pack of *contents*: its key, its bytes, and the place and hash of each block."""
    open_pack = pack.OpenPack(bytearray(SIZE), data_key)
    hash_of = data_key.block_hash if data_key else codec.sha256
    added = []
    for block in contents:
        codec_id, body = pack.encode(block, 1, hash_of(block), hash_of)
        place = open_pack.add(codec_id, body, len(block), hash_of(block))
        assert place is not None
        added.append((place, hash_of(block)))
    return layout.pack_key("p1", open_pack.ref.id.hex()), bytes(open_pack.finish()), added


def read_table(data, data_key):
    """The rows of a pack's table of contents, read as the format describes it."""
    at, length, count = struct.unpack_from("<III", data, len(data) - 44)
    table = data[at : at + length]
    if data_key is not None:
        nonce, associated = struct.pack("<IQ", 0, at), data[:40] + struct.pack("<IB", count, 255)
        table = AESGCM(data_key.pack_key(data[24:40])).decrypt(nonce, table, associated)
    assert len(table) == 45 * count
    return list(struct.iter_unpack("<IIIB32s", table))


def opened(reader, place, stored, size, block_hash):
    """Open a stored block with buffers that contain other bytes from earlier uses."""
    target, scratch = bytearray(b"?" * size), memoryview(bytearray(b"!" * len(stored)))
    reader.open(place, memoryview(stored), memoryview(target), block_hash, scratch)
    return bytes(target)


@pytest.mark.parametrize("data_key", [KEY, None])
@given(contents=blocks)
def test_blocks_read_back(data_key, contents):
    key, data, added = fill(contents, data_key)
    reader = pack.BlockReader("p1", data_key)
    for block, (place, block_hash) in zip(contents, added, strict=True):
        stored = data[place.offset : place.offset + place.length]
        assert opened(reader, place, stored, len(block), block_hash) == block
        assert len(stored) <= len(block) + 16
    assert read_table(data, data_key) == [
        (place.offset, place.length, len(block), place.codec, block_hash)
        for block, (place, block_hash) in zip(contents, added, strict=True)
    ]
    assert pack.check(key, data).blocks == len(contents)


@pytest.mark.parametrize("data_key", [KEY, None])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_detected_without_a_key(data_key, where, bit):
    key, data, _ = fill([b"a" * 100, os.urandom(300)], data_key)
    broken = bytearray(data)
    broken[int(where * len(data))] ^= 1 << bit
    with pytest.raises((errors.Corrupted, errors.UnsupportedVersion), match=key):
        pack.check(key, broken)


@pytest.mark.parametrize("data_key", [KEY, None])
def test_a_wrong_block_is_detected(data_key):
    key, data, added = fill([os.urandom(300), os.urandom(300)], data_key)
    reader = pack.BlockReader("p1", data_key)
    (first, first_hash), (second, second_hash) = added
    stored = data[first.offset : first.offset + first.length]
    for place, piece, size, block_hash in (
        (first, stored[:-1], 300, first_hash),
        (first, stored + b"x", 300, first_hash),
        (first, stored[:1], 300, first_hash),
        (first._replace(codec=codec.ZSTD), stored[:1], 300, first_hash),
        (first, stored[:5] + b"?" + stored[6:], 300, first_hash),
        (first, data[second.offset : second.offset + second.length], 300, first_hash),
        (first, stored, 300, second_hash),
        (first, stored, 299, first_hash),
        (first._replace(codec=codec.ZSTD), stored, 300, first_hash),
    ):
        with pytest.raises(errors.Corrupted, match=f"{key}, block at {first.offset}"):
            opened(reader, place, piece, size, block_hash)


def test_a_block_of_another_pack_project_or_place_does_not_open():
    _, data, ((place, block_hash),) = fill([os.urandom(300)], KEY)
    stored = data[place.offset : place.offset + place.length]
    assert opened(pack.BlockReader("p1", KEY), place, stored, 300, block_hash)
    for reader, wrong in (
        (pack.BlockReader("p1", KEY), place._replace(offset=place.offset + 1)),
        (pack.BlockReader("p1", KEY), place._replace(pack=PackRef(bytes(16)))),
        (pack.BlockReader("p2", OTHER), place),
    ):
        with pytest.raises(errors.Corrupted, match="data/p[12]/packs/"):
            opened(reader, wrong, stored, 300, block_hash)


def test_a_full_pack_takes_no_more_and_is_never_larger_than_its_buffer():
    open_pack = pack.OpenPack(bytearray(5000), KEY)
    count = 0
    while open_pack.add(codec.RAW, os.urandom(100), 100, bytes(32)):
        count += 1
    data = open_pack.finish()
    assert 5000 - 100 - 16 - pack.ROW_BYTES < len(data) <= 5000
    assert count == (5000 - pack.FRAME_BYTES) // (100 + 16 + pack.ROW_BYTES)


def test_a_pack_under_the_key_of_another_is_named():
    _, data, _ = fill([b"x"], None)
    other = layout.pack_key("p1", "f" * 32)
    with pytest.raises(errors.Corrupted, match=f"{other}: is another pack"):
        pack.check(other, data)


def test_another_version_is_refused():
    key, data, _ = fill([b"x"], None)
    with pytest.raises(errors.UnsupportedVersion, match="version 2"):
        pack.check(key, data[:4] + b"\x02" + data[5:])


@given(st.binary(max_size=300), st.booleans())
def test_noise_is_not_a_pack(data, with_magic):
    key = layout.pack_key("p1", "0" * 32)
    with pytest.raises((errors.Corrupted, errors.UnsupportedVersion)):
        pack.check(key, b"KLPK\x01\x00\x00\x00" + data if with_magic else data)


@pytest.mark.parametrize("trailer", [(0, 0, 0), (40, 0xFFFFFFFF, 1), (41, 45, 1), (40, 45, 0xFFFFFFFF), (40, 45, 0)])
def test_a_wrong_frame_with_a_right_checksum_is_refused(trailer):
    key, data, _ = fill([b"x" * 10], None)
    body = data[:-44] + struct.pack("<III", *trailer)
    with pytest.raises(errors.Corrupted, match=key):
        pack.check(key, body + codec.checksum(body))


def test_equal_blocks_look_different_in_different_packs():
    block = os.urandom(300)
    _, first, _ = fill([block], KEY)
    _, second, _ = fill([block], KEY)
    assert first[40:340] != second[40:340]
    assert block not in first


def test_a_block_that_fails_its_read_back_is_not_stored():
    with pytest.raises(errors.Corrupted, match="faulty"):
        pack.encode(b"text" * 100, 1, codec.sha256(b"text" * 99 + b"tezt"), codec.sha256)
