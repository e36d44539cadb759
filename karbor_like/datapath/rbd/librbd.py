"""Access to images with librbd, in this process.

The library's calls may block for as long as Ceph does not answer, so each is made in a thread of its own and abandoned when
it takes too long. What an abandoned call may still use is not closed, but forgotten: objects of the bindings keep each other
alive, and close when nothing refers to them.
"""

import errno
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from karbor_like import exception
from karbor_like.bank import Extent
from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import bindings, trouble
from karbor_like.datapath.rbd.access import Description, Difference, Snapshot
from karbor_like.datapath.rbd.extentmap import merged
from karbor_like.datapath.rbd.requests import Requests
from karbor_like.deadline import Call

T = TypeVar("T")

#: Objects that one call of the exact map covers, and of the fast map: a fraction of a second each.
_EXACT_OBJECTS: Final = 2048
_FAST_OBJECTS: Final = 65536
#: Objects that librbd lists at once.
_LISTS_AT_ONCE: Final = 10
#: Seconds by which closing may exceed the limit of a call: it makes several, each with the library's own limit.
_MORE_SECONDS: Final = 5.0
#: Snapshots that users make, as opposed to those of groups, of mirrors and in the trash.
_USER_SNAPSHOT: Final = 0
#: Requests of at most 4 MiB that are in progress at once.
REQUESTS_AT_ONCE: Final = 8


class Cluster:
    """A connection to the pool of an image.

    :param timeout: seconds that each call may take
    :raises CannotOpen: the bindings, the configuration or the pool are missing, or Ceph refuses the user
    :raises SourceFailed: Ceph does not answer
    """

    def __init__(self, location: RbdImage, *, timeout: float) -> None:
        loaded = bindings.load()
        if loaded is None:
            raise errors.CannotOpen(
                f"{location}: this Python has no modules rados and rbd; install python3-rbd for it, or use qemu-nbd"
            )
        trouble.require_conf(location)
        self.location = location
        self.timeout = timeout
        self._rados, self.rbd = loaded
        self._lock = threading.Lock()
        self._running = 0
        self._connection: Any = None
        self._ioctx: Any = None
        #: Images to close: open ones, except those that abandoned calls use.
        self._images: list[Any] = []
        try:
            self.call("connecting", self._connect)
            self._open_pool()
        except exception.ResourceFailed:
            self.close()
            raise

    def _connect(self) -> None:
        seconds = str(math.ceil(self.timeout))
        # The library's own limits, so that abandoned calls end. No cache: an error belongs to the write that caused it.
        settings = {
            "client_mount_timeout": seconds,
            "rados_mon_op_timeout": seconds,
            "rados_osd_op_timeout": seconds,
            "rbd_cache": "false",
            "rbd_concurrent_management_ops": str(_LISTS_AT_ONCE),
            "log_to_stderr": "false",
        }
        connection = self._rados.Rados(conffile=str(self.location.conf), rados_id=self.location.user, conf=settings)
        connection.connect()
        self._connection = connection

    def _open_pool(self) -> None:
        try:
            self._ioctx = self.call("opening the pool", lambda: self._connection.open_ioctx(self.location.pool))
        except errors.SourceGone:
            raise trouble.no_pool(self.location) from None

    def call(
        self,
        doing: str,
        function: Callable[[], T],
        *,
        failed: type[exception.ResourceFailed] = errors.SourceFailed,
    ) -> T:
        """Return what *function* returns, in limited time, and translate its errors."""
        with self._lock:
            self._running += 1
        call = Call(f"rbd-{self.location.image}", function, self._ended)
        if not call.wait(self.timeout):
            raise trouble.translate(errno.ETIMEDOUT, self.location, doing, failed=failed)
        try:
            return call.result()
        except (self._rados.Error, self.rbd.Error) as error:
            number = getattr(error, "errno", None)
            raise trouble.translate(number, self.location, doing, failed=failed, detail=str(error)) from error

    def _ended(self) -> None:
        with self._lock:
            self._running -= 1

    @property
    def idle(self) -> bool:
        """Whether no call is in progress, not even one that was abandoned."""
        with self._lock:
            return not self._running

    def open(self, snapshot: str | None = None, *, read_only: bool = True) -> Any:
        """Open the image. Blocks: to be called within :meth:`call`."""
        return self.rbd.Image(self._ioctx, self.location.image, snapshot=snapshot, read_only=read_only)

    def fsid(self) -> str:
        """Return the id of the cluster."""
        return str(self.call("connecting", self._connection.get_fsid))

    @property
    def instance(self) -> int:
        """The number of this client, as it appears among watchers."""
        return int(self._connection.get_instance_id())

    def try_when_full(self) -> None:
        """Let writes to a full pool fail. Otherwise they wait until it has space."""
        self._ioctx.set_osdmap_full_try()

    def keep(self, image: Any) -> Any:
        """Close an open image when the connection is closed, unless it is closed before with :meth:`close_image`."""
        self._images.append(image)
        return image

    def close_image(self, image: Any) -> None:
        """Close an image. If a call that was abandoned may still use it, it is closed when that has ended."""
        if image in self._images:
            self._images.remove(image)
            if self.idle:
                with suppress(exception.ResourceFailed):
                    self.call("closing", image.close)

    def close(self) -> None:
        """Close all images and disconnect. Never raises, and waits for a limited time."""
        connection, ioctx, images = self._connection, self._ioctx, self._images
        self._connection, self._ioctx, self._images = None, None, []

        def close() -> None:
            for image in images:
                with suppress(self.rbd.Error):
                    image.close()
            if self.idle and connection is not None:
                if ioctx is not None:
                    ioctx.close()
                connection.shutdown()

        Call(f"rbd-close-{self.location.image}", close).wait(self.timeout + _MORE_SECONDS)


class LibrbdAccess:
    """Implements :class:`.access.Access`."""

    def __init__(self, location: RbdImage, *, timeout: float) -> None:
        self.location = location
        self.cluster = Cluster(location, timeout=timeout)

    def fsid(self) -> str:
        return self.cluster.fsid()

    def describe(self) -> Description:
        def describe() -> Description:
            with self.cluster.open() as image:
                rbd = self.cluster.rbd
                snapshots = [
                    Snapshot(found["id"], found["name"], found["size"], found["namespace"] == _USER_SNAPSHOT)
                    for found in image.list_snaps()
                ]
                fast = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
                return Description(
                    image.id(), image.size(), sorted(snapshots, key=_id), (image.features() & fast) == fast
                )

        return self.cluster.call("opening", describe)

    def exact(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        image, period = self._open(snapshot)
        try:
            for span in _spans(0, snapshot.size, period * _EXACT_OBJECTS):
                yield from self._differences(image, base, span, whole=False)
        finally:
            self.cluster.close_image(image)

    def fast(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        image, period = self._open(snapshot)
        try:
            for span in _spans(0, snapshot.size, period * _FAST_OBJECTS):
                for rows in _rows(self._differences(image, base, span, whole=True), period):
                    for part in _spans(rows.offset, min(rows.end, snapshot.size), period * _EXACT_OBJECTS):
                        yield from self._differences(image, base, part, whole=False)
        finally:
            self.cluster.close_image(image)

    def _open(self, snapshot: Snapshot) -> tuple[Any, int]:
        """Return the open snapshot, and the bytes that a row of its objects has: 4 MiB, or more if it is striped."""

        def open_() -> tuple[Any, int]:
            image = self.cluster.open(snapshot.name)
            return image, image.stat()["obj_size"] * image.stripe_count()

        image, period = self.cluster.call("opening", open_)
        return self.cluster.keep(image), period

    def _differences(self, image: Any, base: Snapshot | None, span: Extent, *, whole: bool) -> list[Difference]:
        def differences() -> list[Difference]:
            found: list[Difference] = []
            image.diff_iterate(
                span.offset,
                span.length,
                base.name if base else None,
                lambda offset, length, exists: found.append(Difference(offset, length, exists)),
                True,
                whole,
            )
            return found

        return self.cluster.call("mapping", differences)

    def maps_valid(self, snapshots: Sequence[Snapshot]) -> bool:
        invalid = self.cluster.rbd.RBD_FLAG_OBJECT_MAP_INVALID | self.cluster.rbd.RBD_FLAG_FAST_DIFF_INVALID

        def valid(name: str | None) -> bool:
            with self.cluster.open(name) as image:
                return not image.flags() & invalid

        names = [None, *(snapshot.name for snapshot in snapshots)]
        return all(self.cluster.call("opening", partial(valid, name)) for name in names)

    def parent(self) -> RbdImage | None:
        def parent() -> RbdImage | None:
            with self.cluster.open() as image:
                try:
                    spec = image.get_parent_image_spec()
                except self.cluster.rbd.ImageNotFound:
                    return None
            location = self.location
            return RbdImage(location.conf, location.user, spec["pool_name"], spec["image_name"], spec["snap_name"])

        return self.cluster.call("opening", parent)

    def watchers(self) -> Sequence[str]:
        def watchers() -> Sequence[str]:
            with self.cluster.open() as image:
                found = list(image.watchers_list())
            return [str(watcher["addr"]) for watcher in found if watcher["id"] != self.cluster.instance]

        return self.cluster.call("listing the clients", watchers)

    def create_snapshot(self, name: str) -> None:
        def create() -> None:
            with suppress(self.cluster.rbd.ImageExists), self.cluster.open(read_only=False) as image:
                image.create_snap(name)

        self.cluster.call("creating a snapshot", create, failed=errors.TargetFailed)

    def remove_snapshot(self, name: str) -> None:
        def remove() -> None:
            with self.cluster.open(read_only=False) as image, suppress(self.cluster.rbd.ImageNotFound):
                image.remove_snap(name)

        self.cluster.call("removing a snapshot", remove, failed=errors.TargetFailed)

    def open_snapshot(self, snapshot: Snapshot) -> "LibrbdData":
        image = self.cluster.keep(self.cluster.call("opening", lambda: self.cluster.open(snapshot.name)))
        return LibrbdData(self.cluster, image, errors.SourceFailed)

    def open_image(self) -> "LibrbdData":
        def open_() -> Any:
            image = self.cluster.open(read_only=False)
            if image.features() & self.cluster.rbd.RBD_FEATURE_EXCLUSIVE_LOCK:
                # Unlike the lock that the first write takes, this one is not given to others who want to write.
                image.lock_acquire(self.cluster.rbd.RBD_LOCK_MODE_EXCLUSIVE)
            return image

        self.cluster.try_when_full()
        image = self.cluster.keep(self.cluster.call("opening for writing", open_, failed=errors.TargetFailed))
        if self.watchers():
            raise errors.TargetFailed(f"{self.location}: another client has just opened it; detach the volume")
        return LibrbdData(self.cluster, image, errors.TargetFailed)

    def close(self) -> None:
        self.cluster.close()


class LibrbdData:
    """The bytes of an open image, which is closed with its connection.

    :param failed: class of errors
    """

    def __init__(self, cluster: Cluster, image: Any, failed: type[exception.ResourceFailed]) -> None:
        self._cluster = cluster
        self._image = image
        self._failed = failed
        self._requests: Requests[bytes] = Requests(
            REQUESTS_AT_ONCE,
            cluster.timeout,
            lambda: trouble.translate(errno.ETIMEDOUT, cluster.location, "waiting for data", failed=failed),
        )

    def read(self, offset: int, length: int) -> Future[bytes]:
        """Begin to read. At most 8 reads are in progress; others wait."""
        return self._begin(
            "reading", lambda answer: self._image.aio_read(offset, length, answer), lambda data: data or b""
        )

    def write(self, offset: int, data: memoryview) -> None:
        """Begin to write a copy of the data, which the bindings demand. At most 8 writes are in progress; others wait.

        :raises ResourceFailed: this write, or an earlier one, has failed
        """
        self._requests.check()
        copy = bytes(data)
        begun = self._begin("writing", lambda answer: self._image.aio_write(copy, offset, answer), held=copy)
        if begun.done():
            begun.result()

    def check(self) -> None:
        """Raise if a request was overdue. Other errors of reads are of one request each."""
        self._requests.check()

    def flush(self) -> None:
        """Wait until all that was written is durable. Raises the error of the first write that failed."""
        # The answer to a write may come after that to the flush which waited for it.
        self._requests.drain()
        self._begin("flushing", self._image.aio_flush).result()

    def _begin(
        self,
        doing: str,
        start: Callable[[Callable[..., None]], Any],
        result: Callable[[bytes | None], bytes] = lambda _: b"",
        held: bytes = b"",
    ) -> Future[bytes]:
        """Begin a request.

        :param held: kept until the answer, because some versions of librbd do not copy what they write. An answer may come
            although the request was abandoned
        """
        future = self._requests.begin()
        if future.done():
            return future

        def answer(held: bytes, completion: Any, data: bytes | None = None) -> None:
            value = completion.get_return_value()
            if value < 0:
                self._fail(future, self._error(-value, doing))
            else:
                self._requests.end(future, result(data))

        try:
            start(partial(answer, held))
        except self._cluster.rbd.Error as error:
            self._fail(future, self._error(getattr(error, "errno", None), doing, str(error)))
        return future

    def _fail(self, future: Future[bytes], error: exception.ResourceFailed) -> None:
        if self._failed is errors.TargetFailed:
            # After a write has failed, a flush must not succeed: there must be no moment at which none is in progress.
            self._requests.abandon(error)
        else:
            self._requests.fail(future, error)

    def _error(self, number: int | None, doing: str, detail: str = "") -> exception.ResourceFailed:
        image, failed = self._cluster.location, self._failed
        return trouble.translate(number, image, doing, failed=failed, refused=failed, detail=detail)

    def close(self) -> None:
        """Fail all requests in progress."""
        self._requests.abandon(self._failed(f"{self._cluster.location}: was closed"))


def _id(snapshot: Snapshot) -> int:
    return snapshot.id


def _rows(differences: Sequence[Difference], period: int) -> Iterator[Extent]:
    """Round differences outward to rows of objects, each once: of a striped image, a row has many parts of several objects.

    :param period: bytes of a row
    """
    rows = {
        row for offset, length, _ in differences for row in range(offset // period, -(-(offset + length) // period))
    }
    return merged(Extent(row * period, period) for row in sorted(rows))


def _spans(start: int, end: int, step: int) -> Iterator[Extent]:
    """Divide a range. *start* and *step* are multiples of a row of objects: librbd has had errors with others."""
    for at in range(start, end, step):
        yield Extent(at, min(step, end - at))
