"""Images of RBD for tests of the data path, made and changed with librbd as Cinder and QEMU do."""

import contextlib
import itertools
import json
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import tenacity

from karbor_like.datapath.location import RbdImage
from tests.cloud.ceph import CINDER, POOL, Ceph
from tests.cloud.processes import Supervisor

_NUMBERS = itertools.count(1)
#: layering, exclusive-lock, object-map, fast-diff, deep-flatten
FEATURES = 61
#: Objects have 1 MiB, so that small images have several.
ORDER = 20


#: Seconds after which calls fail, so that a test does not hang.
LIMITS = {"client_mount_timeout": "60", "rados_mon_op_timeout": "60", "rados_osd_op_timeout": "60"}


class Images:
    """The images of one test, through one connection of the user :data:`CINDER`. They are removed when it is closed."""

    def __init__(self, ceph: Ceph) -> None:
        import rados
        import rbd

        self.ceph = ceph
        self.rbd = rbd
        self._stack = ExitStack()
        connection = rados.Rados(conffile=str(ceph.conf), rados_id=CINDER, conf=LIMITS)
        cluster = self._stack.enter_context(connection)
        self.pool = self._stack.enter_context(cluster.open_ioctx(POOL))
        self._snapshots = itertools.count(1)

    def location(self, image: str, snapshot: str | None = None, user: str = CINDER) -> RbdImage:
        return RbdImage(self.ceph.conf, user, POOL, image, snapshot)

    def create(self, size: int, features: int = FEATURES, *, name: str | None = None, **how: Any) -> str:
        name = name or f"volume-{next(_NUMBERS)}"
        options = {"order": ORDER, "old_format": False, "features": features, **how}
        self.rbd.RBD().create(self.pool, name, size, **options)
        self._stack.callback(self.remove, name)
        return name

    def clone(self, image: str, snapshot: str, features: int = FEATURES) -> str:
        name = f"volume-{next(_NUMBERS)}"
        with self.open(image) as parent:
            if not parent.is_protected_snap(snapshot):
                parent.protect_snap(snapshot)
        self.rbd.RBD().clone(self.pool, image, snapshot, self.pool, name, features, ORDER)
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

    def invalidate(self, image: str, snapshot: str | None = None) -> None:
        """Mark the map of objects of an image or a snapshot as invalid, as Ceph does when it could not write one."""
        with self.open(image, read_only=True) as opened:
            header = f"rbd_header.{opened.id()}"
            number = struct.pack("<Q", opened.snap_get_id(snapshot)) if snapshot else b""
        flags = self.rbd.RBD_FLAG_OBJECT_MAP_INVALID | self.rbd.RBD_FLAG_FAST_DIFF_INVALID
        self.pool.execute(header, "rbd", "set_flags", struct.pack("<QQ", flags, flags) + number)

    def empty_maps(self, image: str) -> None:
        """Let the maps of objects of all snapshots of an image say that no object exists or has changed."""
        with self.open(image, read_only=True) as opened:
            objects = opened.stat()["num_objs"]
            names = [f"rbd_object_map.{opened.id()}.{found['id']:016x}" for found in opened.list_snaps()]
        for name in names:
            # From, to, new state (does not exist), for any present state.
            self.pool.execute(name, "rbd", "object_map_update", struct.pack("<QQBB", 0, objects, 0, 0))


@contextlib.contextmanager
def silent(servers: Supervisor, name: str) -> Iterator[None]:
    """Let a daemon of the cluster not answer. All its threads stand still when the context begins."""
    with servers.stopped(name):
        process = servers.process(name)
        assert process
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            while (task / "stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.01)
        yield


class Administrator:
    """A connection that may change how the cluster works."""

    def __init__(self, ceph: Ceph) -> None:
        import rados

        self._cluster = rados.Rados(conffile=str(ceph.conf), rados_id="admin", conf=LIMITS)
        self._cluster.connect()
        self._stack = ExitStack()
        self._stack.callback(self._cluster.shutdown)

    def forget_clients_after(self, seconds: int) -> None:
        """Let a client that died be remembered for a shorter time."""
        self._configure("osd_client_watch_timeout", seconds)
        self._stack.callback(self._configure, "osd_client_watch_timeout", 30)

    def _configure(self, name: str, value: int) -> None:
        command = {"prefix": "config set", "var": name, "val": [str(value)]}
        status, _, message = self._cluster.osd_command(0, json.dumps(command), b"")
        assert status == 0, message

    def fill(self) -> None:
        """Let the storage be full."""
        self._stack.callback(self._fill, 0.95, full=False)
        self._fill(1e-9, full=True)

    def _fill(self, ratio: float, *, full: bool) -> None:
        kinds = ["nearfull", "backfillfull", "full"]
        for kind in kinds if full else reversed(kinds):
            self._ask(prefix=f"osd set-{kind}-ratio", ratio=ratio)
        # The OSD looks every few seconds.
        while ("full" in json.loads(self._ask(prefix="osd dump", format="json"))["osds"][0]["state"]) != full:
            time.sleep(0.1)

    def cut_off(self, address: str) -> None:
        """Let the cluster refuse a client from now on."""
        self._ask(prefix="osd blocklist", blocklistop="add", addr=address)

    def _ask(self, **command: Any) -> bytes:
        status, answer, message = self._cluster.mon_command(json.dumps(command), b"")
        assert status == 0, message
        return answer

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def administrator(ceph: Ceph) -> Iterator[Administrator]:
    """What it changes ends with the test."""
    made = Administrator(ceph)
    yield made
    made.close()


@pytest.fixture
def images(ceph: Ceph) -> Iterator[Images]:
    """The images of one test. It is not skipped if this Python cannot import Ceph's bindings, but fails."""
    made = Images(ceph)
    yield made
    made.close()
