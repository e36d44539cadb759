"""Listings of names, compared with their definition."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.clock import ManualClock
from karbor_like.sandbox import errors, state
from karbor_like.sandbox.objectstore.objects import Objects, Selection

NAMES = st.text("ab/é", min_size=1, max_size=5)
BORDERS = st.text("ab/é", max_size=3)


def open_objects(folder: Path, names: set[str]) -> Objects:
    objects = Objects(state.Store(folder / "s.sqlite"), folder, ManualClock())
    objects.make_container("acc", "c", {})
    for name in names:
        objects.put("acc", "c", name, [name.encode()], "text/plain")
    return objects


def wanted(names: set[str], asked: Selection) -> list[str]:
    """List names as Swift's documentation defines it, in a naive way."""
    entries: list[str] = []
    for name in sorted(names):
        if not name.startswith(asked.prefix):
            continue
        at = name.find(asked.delimiter, len(asked.prefix)) if asked.delimiter else -1
        entry = name if at < 0 else name[: at + 1]
        if asked.delimiter and asked.marker.endswith(asked.delimiter) and name.startswith(asked.marker) and at >= 0:
            continue
        if name > asked.marker and (not asked.end_marker or name < asked.end_marker) and entry not in entries:
            entries.append(entry)
    return entries[: asked.limit]


@given(
    names=st.sets(NAMES, max_size=12),
    prefix=BORDERS,
    end_marker=BORDERS,
    delimiter=st.sampled_from(["", "/"]),
    limit=st.integers(1, 5),
)
def test_pages_together_are_the_whole_list(
    names: set[str], prefix: str, end_marker: str, delimiter: str, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects = open_objects(Path(folder), names)
        asked = Selection(prefix=prefix, end_marker=end_marker, delimiter=delimiter)
        whole = wanted(names, asked)
        seen: list[str] = []
        while True:
            page = objects.listing(
                "acc", "c", Selection(prefix, seen[-1] if seen else "", end_marker, delimiter, limit)
            )
            seen += [entry if isinstance(entry, str) else entry.name for entry in page]
            if len(page) < limit:
                break
        assert seen == whole


def test_a_failed_put_keeps_the_previous_object(tmp_path: Path) -> None:
    objects = open_objects(tmp_path, {"a"})
    with pytest.raises(errors.ApiError) as error:
        objects.put("acc", "c", "a", [b"other"], "text/plain", etag="0" * 32)
    assert error.value.status == 422
    assert b"".join(objects.read(objects.get("acc", "c", "a"), 0, 1)) == b"a"
    assert objects.usage("acc") == (1, 1)


def test_files_without_a_row_are_removed(tmp_path: Path) -> None:
    objects = open_objects(tmp_path, {"a"})
    (tmp_path / "00").mkdir(exist_ok=True)
    (tmp_path / "00" / "left").write_bytes(b"x")
    objects.recover()

    assert not (tmp_path / "00" / "left").exists()
    assert b"".join(objects.read(objects.get("acc", "c", "a"), 0, 1)) == b"a"


def test_containers_of_accounts_are_separate(tmp_path: Path) -> None:
    objects = open_objects(tmp_path, {"a"})
    objects.make_container("other", "c", {})
    assert objects.listing("other", "c", Selection()) == []
    with pytest.raises(errors.ApiError):
        objects.get("other", "c", "a")
