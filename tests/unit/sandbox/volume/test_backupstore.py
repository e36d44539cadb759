"""Each backup of a chain is restored as it was, and stores only what changed."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like.sandbox import errors
from karbor_like.sandbox.volume.backupstore import BLOCK, BackupStore

SIZE = 5 * BLOCK + 100
WRITES = st.tuples(st.integers(0, SIZE - 1), st.one_of(st.binary(min_size=1, max_size=9), st.just(bytes(2 * BLOCK))))


def unchecked() -> None:
    """Never interrupt."""


@settings(max_examples=50)
@given(states=st.lists(st.lists(WRITES, max_size=3), min_size=1, max_size=4))
def test_every_state_is_restored(states: list[list[tuple[int, bytes]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, volume, target = BackupStore(Path(folder) / "s"), Path(folder) / "v", Path(folder) / "t"
        content = bytearray(SIZE)
        chain: list[tuple[str, str]] = []
        for number, writes in enumerate(states):
            for offset, data in writes:
                content[offset : offset + len(data)] = data[: SIZE - offset]
            volume.write_bytes(content)
            name = ("container", f"{number}")
            store.write(name, volume, chain[-1] if chain else None, number, unchecked)
            chain.append(name)
            target.write_bytes(bytes(SIZE))
            assert store.restore(chain, target, unchecked) == list(range(number + 1))
            assert target.read_bytes() == content


def test_an_incremental_backup_has_changed_blocks_only(tmp_path: Path) -> None:
    store, volume = BackupStore(tmp_path / "s"), tmp_path / "v"
    volume.write_bytes(b"x" * BLOCK + bytes(BLOCK) + b"y" * BLOCK + b"z" * 10)
    assert store.write(("c", "full"), volume, None, None, unchecked) == 3
    volume.write_bytes(b"x" * BLOCK + bytes(BLOCK) + bytes(BLOCK) + b"Z" * 10)
    assert store.write(("c", "child"), volume, ("c", "full"), None, unchecked) == 2
    assert sorted(path.stat().st_size for path in (tmp_path / "s").glob("*.data")) == [10, 2 * BLOCK + 10]


def test_missing_data_is_named(tmp_path: Path) -> None:
    store, volume = BackupStore(tmp_path / "s"), tmp_path / "v"
    volume.write_bytes(b"x")
    store.write(("c", "full"), volume, None, None, unchecked)
    store.write(("c", "child"), volume, ("c", "full"), None, unchecked)
    store.remove(("c", "full"))
    store.remove(("c", "full"))
    with pytest.raises(errors.JobFailed, match="c/full 404"):
        store.restore([("c", "full"), ("c", "child")], volume, unchecked)
    with pytest.raises(errors.JobFailed, match="c/full 404"):
        store.write(("c", "other"), volume, ("c", "full"), None, unchecked)


def test_a_name_stays_in_the_folder(tmp_path: Path) -> None:
    store, volume = BackupStore(tmp_path / "s"), tmp_path / "v"
    volume.write_bytes(b"x")
    store.write(("..", "../../up"), volume, None, None, unchecked)
    assert {path.parent for path in tmp_path.rglob("*.data")} == {tmp_path / "s"}
