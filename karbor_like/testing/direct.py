"""The plugin ``volume-direct`` on the sandbox, whose bytes are read and written through the sandbox's own API."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar, Final

import requests

from karbor_like.datapath import errors
from karbor_like.datapath.contract import Extent, Mark
from karbor_like.plugins.cinder.direct.attached import AttachBackend
from karbor_like.plugins.cinder.direct.backend import Backend, Connection, StoredVolume, Times
from karbor_like.plugins.cinder.volume_direct import VolumeDirectProtection
from karbor_like.plugins.protection import HookContext
from karbor_like.testing.sandbox import SMALL_GIB

_SECONDS: Final = 60.0


class Meter:
    """What the readers and writers of a test do, and what happens meanwhile.

    :param read: bytes that were read
    :param written: bytes that were written
    :param before: called before each read with its number, from 1, and ``read``; writes likewise; before a reader is opened,
        with 0 and ``open``; before an attached volume is written, with 0 and ``target``
    :param lies: ranges that maps of changes leave out
    :param missing: what the worker lacks, if anything
    :param breakage: why the worker cannot open anything, if it cannot
    :param host: the worker's. The storage lets it open what was attached for this host only
    """

    def __init__(self) -> None:
        self.read = self.written = 0
        self.before: Callable[[int, str], None] = lambda number, kind: None
        self.lies: list[Extent] = []
        self.missing: str | None = None
        self.breakage: str | None = None
        self.host = "worker-1"
        self._numbers = {"read": 0, "write": 0}
        self._lock = threading.Lock()

    def count(self, kind: str, size: int) -> None:
        """Count *size* bytes, and let happen what is to happen."""
        with self._lock:
            self._numbers[kind] += 1
            number = self._numbers[kind]
            if kind == "read":
                self.read += size
            else:
                self.written += size
        self.before(number, kind)

    def forget(self) -> None:
        """Begin to count again."""
        self.read = self.written = 0
        self._numbers = {"read": 0, "write": 0}

    def log_in(self, connection: Connection) -> None:
        """Raise CannotOpen unless the storage lets this host in."""
        if connection["client"] != self.host:
            raise errors.CannotOpen(f"the storage lets in {connection['client']}, not {self.host}")


class SandboxReader:
    """A snapshot, or a volume, in the sandbox.

    :param url: of it in the sandbox's own API
    """

    def __init__(self, url: str, meter: Meter) -> None:
        self._url = url
        self._meter = meter
        self._http = requests.Session()
        self.size: int = self._get("extents")["size"]

    def allocated(self) -> Iterable[Extent]:
        return [Extent(*each) for each in self._get("extents")["extents"]]

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        since = mark.get("snapshot")
        if mark.get("kind") != "sandbox" or not isinstance(since, str):
            return None
        try:
            found = self._get("extents", since=since)["extents"]
        except errors.SourceGone:
            return None
        return [each for each in (Extent(*each) for each in found) if each not in self._meter.lies]

    def read(self, offset: int, length: int) -> Future[bytes]:
        future: Future[bytes] = Future()
        try:
            self._meter.count("read", length)
            future.set_result(self._ask("bytes", offset=str(offset), length=str(length)).content)
        except Exception as error:  # noqa: BLE001 - the writer raises it
            future.set_exception(error)
        return future

    def confirm(self) -> None:
        self._get("extents")

    def mark(self) -> Mark | None:
        return {"kind": "sandbox", "snapshot": self._url.rpartition("/")[2]}

    def _get(self, path: str, **query: str) -> Any:
        return self._ask(path, **query).json()

    def _ask(self, path: str, **query: str) -> requests.Response:
        response = self._http.get(f"{self._url}/{path}", params=query, timeout=_SECONDS)
        if response.status_code == 404:
            raise errors.SourceGone(f"{self._url}: {response.text}")
        if not response.ok:
            raise errors.SourceFailed(f"{self._url}: {response.text}")
        return response

    def __enter__(self) -> "SandboxReader":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.close()


class SandboxWriter:
    """A volume in the sandbox.

    :param url: of the volume in the sandbox's own API
    """

    def __init__(self, url: str, size: int, meter: Meter) -> None:
        self._url = url
        self._meter = meter
        self.size = size

    def write(self, offset: int, data: memoryview) -> None:
        self._meter.count("write", len(data))
        response = requests.put(f"{self._url}/data", params={"offset": str(offset)}, data=bytes(data), timeout=_SECONDS)
        if not response.ok:
            raise errors.TargetFailed(f"{self._url}: {response.text}")

    def flush(self) -> None:
        """Everything is durable at once."""

    def __enter__(self) -> "SandboxWriter":
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is open."""


class SandboxBackend(Backend):
    """Volumes of the sandbox. One test at a time uses it."""

    kind = "sandbox"
    meter: ClassVar[Meter] = Meter()

    def obstacle(self, context: HookContext, volume: StoredVolume) -> str | None:
        return self.meter.missing

    def open_reader(self, context: HookContext, volume: StoredVolume, snapshot_id: str, times: Times) -> SandboxReader:
        self.meter.before(0, "open")
        if self.meter.breakage:
            raise errors.CannotOpen(self.meter.breakage)
        url = str(context.clients.cinder().client.get_endpoint()).partition("/volume/")[0]
        return SandboxReader(f"{url}/sandbox/snapshots/{snapshot_id}", self.meter)

    def connector(self) -> Mapping[str, Any]:
        return {**super().connector(), "host": self.meter.host}

    def open_writer(self, context: HookContext, volume: StoredVolume, connection: Connection) -> SandboxWriter:
        if self.meter.breakage:
            raise errors.CannotOpen(self.meter.breakage)
        self.meter.log_in(connection)
        return SandboxWriter(connection["url"], volume.size * SMALL_GIB, self.meter)


class SandboxAttachBackend(AttachBackend):
    """Volumes of the sandbox that are attached."""

    kind = "sandbox-attach"

    def connector(self) -> Mapping[str, Any]:
        return {**super().connector(), "host": SandboxBackend.meter.host}

    def _open(self, temporary: StoredVolume, connection: Connection) -> SandboxReader:
        SandboxBackend.meter.before(0, "open")
        SandboxBackend.meter.log_in(connection)
        return SandboxReader(connection["url"], SandboxBackend.meter)

    def open_writer(self, context: HookContext, volume: StoredVolume, connection: Connection) -> SandboxWriter:
        SandboxBackend.meter.before(0, "target")
        SandboxBackend.meter.log_in(connection)
        return SandboxWriter(connection["url"], volume.size * SMALL_GIB, SandboxBackend.meter)


class SmallDirectVolumes(VolumeDirectProtection):
    """The plugin in a cloud with small volumes."""

    gib = SMALL_GIB
    kinds: ClassVar[Mapping[str, type[Backend]]] = {
        **VolumeDirectProtection.kinds,
        SandboxBackend.kind: SandboxBackend,
        SandboxAttachBackend.kind: SandboxAttachBackend,
    }
