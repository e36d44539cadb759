"""RBD by librbd and by qemu-nbd, with exact and fast maps: the contract of readers and writers."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from karbor_like.datapath import rbd
from karbor_like.datapath.contract import VolumeReader, VolumeWriter
from karbor_like.datapath.rbd.extentmap import Map
from karbor_like.datapath.rbd.opening import Way
from karbor_like.datapath.rbd.volume import RbdReader, RbdWriter
from tests.cloud.ceph import QEMU_READER, READER, WRITER, Ceph
from tests.contract.datapath import suites
from tests.contract.datapath.rbd import Administrator, Images, administrator, images, silent

__all__ = ["administrator", "images"]


def kill_children() -> None:
    for child in psutil.Process().children():
        if child.name() == "qemu-nbd":
            child.kill()


class Readers(suites.ReaderLab):
    def __init__(self, images: Images, servers: Any, stack: ExitStack, way: Way, kind: Map) -> None:
        self.images = images
        self._servers = servers
        self._stack = stack
        self._way: Way = way
        self._kind: Map = kind

    def create(self, size: int) -> None:
        self.image = self.images.create(size)

    def write(self, content: Mapping[int, bytes]) -> None:
        self.images.write(self.image, content)

    def resize(self, size: int) -> None:
        with self.images.open(self.image) as opened:
            opened.resize(size)

    def snapshot(self) -> str:
        return self.images.snapshot(self.image)

    def reader(self, snapshot: str, timeout: float = suites.GENEROUS) -> RbdReader:
        user = READER if self._way == "librbd" else QEMU_READER
        location = self.images.location(self.image, snapshot, user)
        return rbd.open_reader(location, timeout=timeout, kind=self._kind, way=self._way)

    def remove(self, snapshot: str) -> None:
        with self.images.open(self.image) as opened:
            opened.remove_snap(snapshot)

    def cut(self, reader: VolumeReader) -> None:
        kill_children()

    def silence(self, reader: VolumeReader) -> None:
        self._stack.enter_context(silent(self._servers, Ceph.OSD))


class Writers(suites.WriterLab):
    def __init__(self, images: Images, administrator: Administrator, servers: Any, stack: ExitStack, way: Way) -> None:
        self.images = images
        self.administrator = administrator
        self._servers = servers
        self._stack = stack
        self._way: Way = way

    def create(self, size: int) -> str:
        self._image = self.images.create(size)
        return self._image

    def writer(self, volume: str, timeout: float = suites.GENEROUS) -> RbdWriter:
        return rbd.open_writer(self.images.location(volume, user=WRITER), timeout=timeout, way=self._way)

    def content(self, volume: str) -> bytes:
        return self.images.content(volume)

    def create_on_full_storage(self, size: int) -> str:
        image = self.create(size)
        self.administrator.fill()
        return image

    def cut(self, writer: VolumeWriter) -> None:
        for address in self.images.ceph.watchers(self._image):
            self.administrator.cut_off(address)
        # The OSD learns of it after the monitor, and forgets the client then.
        while self.images.ceph.watchers(self._image):
            time.sleep(0.1)
        if self._way != "librbd":
            kill_children()

    def silence(self, writer: VolumeWriter) -> None:
        self._stack.enter_context(silent(self._servers, Ceph.OSD))


@pytest.fixture
def stack(images: Images, administrator: Administrator) -> Iterator[ExitStack]:
    """What must be undone before images can be removed, and the cluster be asked."""
    with ExitStack() as stack:
        yield stack


def forget_abandoned(request: pytest.FixtureRequest, administrator: Administrator) -> None:
    """Let the cluster forget clients early in tests that abandon them. Until then, an image cannot be removed."""
    if "does_not_answer" in request.node.name or "cut" in request.node.name:
        administrator.forget_clients_after(2)


# librbd connects again.
class TestLibrbdReader(suites.ReaderContract, lacks={"cut"}):
    @pytest.fixture(params=["exact", "fast"])
    def lab(self, request: pytest.FixtureRequest, images: Images, servers: Any, stack: ExitStack) -> Readers:
        return Readers(images, servers, stack, "librbd", request.param)

    @pytest.fixture(autouse=True)
    def forgetful(self, request: pytest.FixtureRequest, lab: Readers, administrator: Administrator) -> None:
        forget_abandoned(request, administrator)


class TestServedReader(suites.ReaderContract):
    # Each map is a process.
    seeds = 2

    @pytest.fixture
    def lab(self, images: Images, servers: Any, stack: ExitStack) -> Readers:
        return Readers(images, servers, stack, "qemu-nbd", "exact")

    @pytest.fixture(autouse=True)
    def forgetful(self, request: pytest.FixtureRequest, lab: Readers, administrator: Administrator) -> None:
        forget_abandoned(request, administrator)


class Writable(suites.WriterContract):
    way: Way

    @pytest.fixture
    def lab(self, images: Images, administrator: Administrator, servers: Any, stack: ExitStack) -> Writers:
        return Writers(images, administrator, servers, stack, self.way)

    @pytest.fixture(autouse=True)
    def forgetful(self, request: pytest.FixtureRequest, lab: Writers, administrator: Administrator) -> None:
        forget_abandoned(request, administrator)


class TestLibrbdWriter(Writable):
    way = "librbd"


# QEMU waits until there is space.
class TestServedWriter(Writable, lacks={"full storage"}):
    way = "qemu-nbd"
