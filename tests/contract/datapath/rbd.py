"""Images of RBD for tests of the data path, made and changed with librbd as Cinder and QEMU do."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
import tenacity

from karbor_like.datapath.location import RbdImage
from tests.cloud.ceph import CINDER, POOL, Ceph

_NUMBERS = itertools.count(1)
#: layering, exclusive-lock, object-map, fast-diff, deep-flatten
FEATURES = 61


class Images:
    """The images of one test, through one connection of the user :data:`CINDER`. They are removed when it is closed."""

    def __init__(self, ceph: Ceph) -> None:
        import rados
        import rbd

        self.ceph = ceph
        self.rbd = rbd
        self._stack = ExitStack()
        cluster = self._stack.enter_context(rados.Rados(conffile=str(ceph.conf), rados_id=CINDER))
        self.pool = self._stack.enter_context(cluster.open_ioctx(POOL))
        self._snapshots = itertools.count(1)

    def location(self, image: str, snapshot: str | None = None, user: str = CINDER) -> RbdImage:
        return RbdImage(self.ceph.conf, user, POOL, image, snapshot)

    def create(self, size: int, features: int = FEATURES) -> str:
        name = f"volume-{next(_NUMBERS)}"
        self.rbd.RBD().create(self.pool, name, size, old_format=False, features=features)
        self._stack.callback(self.remove, name)
        return name

    def clone(self, image: str, snapshot: str, features: int = FEATURES) -> str:
        name = f"volume-{next(_NUMBERS)}"
        with self.open(image) as parent:
            if not parent.is_protected_snap(snapshot):
                parent.protect_snap(snapshot)
        self.rbd.RBD().clone(self.pool, image, snapshot, self.pool, name, features)
        self._stack.callback(self.remove, name)
        return name

    def open(self, image: str, **how: Any) -> Any:
        return self.rbd.Image(self.pool, image, **how)

    def write(self, image: str, content: Mapping[int, bytes]) -> None:
        with self.open(image) as opened:
            for offset, data in content.items():
                opened.write(data, offset)

    def snapshot(self, image: str) -> str:
        name = f"snapshot-{next(self._snapshots)}"
        with self.open(image) as opened:
            opened.create_snap(name)
        return name

    def remove(self, image: str) -> None:
        """Remove an image and its snapshots, if it exists."""
        with contextlib.suppress(self.rbd.ImageNotFound):
            with self.open(image) as opened:
                for found in list(opened.list_snaps()):
                    if opened.is_protected_snap(found["name"]):
                        opened.unprotect_snap(found["name"])
                    opened.remove_snap(found["name"])
            # The cluster remembers a client that was abandoned for a while.
            for attempt in tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(self.rbd.ImageBusy),
                stop=tenacity.stop_after_delay(120),
                wait=tenacity.wait_fixed(0.2),
                reraise=True,
            ):
                with attempt:
                    self.rbd.RBD().remove(self.pool, image)

    def content(self, image: str, snapshot: str | None = None) -> bytes:
        with self.open(image, snapshot=snapshot, read_only=True) as opened:
            return opened.read(0, opened.size())

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def images(ceph: Ceph) -> Iterator[Images]:
    """The images of one test. It is not skipped if this Python cannot import Ceph's bindings, but fails."""
    made = Images(ceph)
    yield made
    made.close()
