"""Only old archives of one host are deleted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from karbor_like.control import retention
from karbor_like.control.targets.directory import DirectoryTarget

MADE = "karbor_like-node-20300103T000000Z.archive"
OLD = ["karbor_like-node-20300102T000000Z.archive", "karbor_like-node-20300101T000000Z.archive"]
FOREIGN = [
    "karbor_like-node-20300101T000000Z.archive.part",
    "karbor_like-node-2-20200101T000000Z.archive",
    "karbor_like-other-20200101T000000Z.archive",
    "karbor_like-node-20200101.archive",
    "x-karbor_like-node-20200101T000000Z.archive",
    "notes",
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in (*OLD, *FOREIGN, MADE):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(("keep", "deleted"), [(1, 2), (2, 1), (3, 0), (100, 0)])
def test_the_newest_archives_are_kept(directory, keep, deleted):
    removed = retention.prune(DirectoryTarget(str(directory)), "node", keep, MADE)
    assert sorted(removed) == sorted(OLD[len(OLD) - deleted :])
    left = {path.name for path in directory.iterdir()}
    assert left == {*OLD, *FOREIGN, MADE} - set(removed)


def test_the_archive_that_was_just_made_is_kept_although_a_clock_was_wrong(directory):
    removed = retention.prune(DirectoryTarget(str(directory)), "node", 1, OLD[1])
    assert removed == [OLD[0]]


def test_names_have_the_host_and_the_time():
    name = retention.make_name("fe80::1/x", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert name == "karbor_like-fe80__1_x-20300102T030405Z.archive"
    assert retention.is_name(name)
    assert retention.of_host("fe80::1/x", [name, "notes"]) == [name]
    assert not retention.is_name("notes")
