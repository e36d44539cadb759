"""Documents, transactions, settings, and the lock on the directory."""

from pathlib import Path

import pytest

from karbor_like.sandbox import errors, state


@pytest.fixture
def store(tmp_path: Path) -> state.Store:
    return state.Store(tmp_path / "s.sqlite")


def test_documents_keep_their_order_when_they_change(store: state.Store) -> None:
    for key in "cab":
        store.put("k", key, {"id": key})
    store.put("other", "x", {})
    assert store.change("k", "c", more=1) == {"id": "c", "more": 1}

    assert [d["id"] for d in store.all("k")] == ["c", "a", "b"]
    assert store.get("k", "c") == {"id": "c", "more": 1}
    store.delete("k", "a")
    assert store.get("k", "a") is None
    assert store.change("k", "a", more=1) is None


def test_a_transaction_is_all_or_nothing(store: state.Store) -> None:
    def fails() -> None:
        with store.transaction():
            store.put("k", "1", {})
            with store.transaction():
                store.put("k", "2", {})
            raise errors.JobFailed("undone")

    with pytest.raises(errors.JobFailed):
        fails()
    assert store.all("k") == []
    with store.transaction():
        store.put("k", "1", {})
    assert store.all("k") == [{}]


def test_the_state_is_persistent(tmp_path: Path) -> None:
    store = state.Store(tmp_path / "s.sqlite")
    store.put("k", "1", {"a": "ö"})
    settings = state.Settings.load(store)
    settings.job_delay = 7.0
    settings.save(store)
    store.close()

    store = state.Store(tmp_path / "s.sqlite")
    assert store.get("k", "1") == {"a": "ö"}
    assert state.Settings.load(store).job_delay == 7.0


def test_a_directory_is_locked(tmp_path: Path) -> None:
    directory = state.StateDirectory(tmp_path / "new" / "one")
    with pytest.raises(errors.StateInUse, match="new/one"):
        state.StateDirectory(tmp_path / "new" / "one")
    assert directory.folder("bytes").is_dir()
    directory.close()
    state.StateDirectory(tmp_path / "new" / "one").close()
