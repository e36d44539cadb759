"""Ways to the data on hosts without Ceph's bindings or configuration."""

import sys
from pathlib import Path

import pytest

from karbor_like.datapath.errors import CannotOpen
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import open_reader
from karbor_like.datapath.rbd.opening import open_access
from karbor_like.datapath.rbd.served import ServedAccess


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RbdImage:
    monkeypatch.setitem(sys.modules, "rados", None)
    conf = tmp_path / "ceph.conf"
    conf.touch()
    return RbdImage(conf, "mover", "volumes", "volume-1", "now")


def test_without_bindings_qemu_is_used(location: RbdImage) -> None:
    assert isinstance(open_access(location, timeout=1), ServedAccess)


def test_librbd_without_bindings(location: RbdImage) -> None:
    with pytest.raises(CannotOpen, match="install python3-rbd"):
        open_reader(location, timeout=1, way="librbd")


def test_without_a_configuration(location: RbdImage) -> None:
    location.conf.unlink()
    with pytest.raises(CannotOpen, match="install the configuration"):
        open_reader(location, timeout=1)
