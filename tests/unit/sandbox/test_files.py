"""Data in files is preserved, and so are holes."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.sandbox import errors, files

PIECES = st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 9000).map(bytes), st.just(files.ZEROS)), max_size=6)


@given(first=PIECES, second=PIECES, offset=st.integers(0, 5000))
def test_an_overwritten_file_is_read_back(first: list[bytes], second: list[bytes], offset: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        expected = bytearray(b"".join(first))
        assert files.write(path, first) == len(expected)
        new = b"".join(second)
        assert files.write(path, second, offset=offset) == len(new)
        if new:
            expected.extend(bytes(max(0, offset - len(expected))))
            expected[offset : offset + len(new)] = new

        assert b"".join(files.read(path)) == bytes(expected)
        assert b"".join(files.read(path, 7, 100)) == bytes(expected[7:107])
        assert files.sha256(path) == hashlib.sha256(expected).hexdigest()


@given(pieces=PIECES, size=st.integers(0, 3 << 20))
def test_a_copy_has_the_data_and_the_requested_size(pieces: list[bytes], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "s", Path(folder) / "t"
        files.write(source, pieces)
        files.copy(source, target, size, lambda: None)
        assert target.read_bytes() == b"".join(pieces)[:size].ljust(size, b"\0")


def test_zeros_become_holes(tmp_path: Path) -> None:
    path, copy = tmp_path / "f", tmp_path / "c"
    files.write(path, [os.urandom(1000), *[files.ZEROS] * 20])
    files.copy(path, copy, path.stat().st_size, lambda: None)
    assert path.stat().st_size == copy.stat().st_size == 1000 + 20 * files.CHUNK
    assert path.stat().st_blocks * 512 < files.CHUNK
    assert copy.stat().st_blocks * 512 < files.CHUNK


def test_a_copy_can_be_stopped(tmp_path: Path) -> None:
    def check() -> None:
        raise errors.Stopping("enough")

    path = tmp_path / "f"
    path.write_bytes(b"x")
    with pytest.raises(errors.Stopping):
        files.copy(path, tmp_path / "c", 1, check)


def test_reading_a_missing_file_fails_immediately(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "none")
    files.remove(tmp_path / "none")


@given(st.lists(st.binary(max_size=100)))
def test_digests(chunks: list[bytes]) -> None:
    with files.Digests() as digests:
        for chunk in chunks:
            digests.update(chunk)
    data = b"".join(chunks)
    assert digests.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
