"""Objects in the memory of this process, for tests and experiments."""

import bisect
import threading
from collections.abc import Sequence
from datetime import datetime

from oslo_config import cfg

from karbor_like import clock as clocks
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base


class MemoryStore(base.ObjectStore):
    """A complete store without persistence.

    :param clock: source of the objects' times
    """

    frees_room_at_once = True

    def __init__(self, clock: clocks.Clock | None = None) -> None:
        self._clock = clock or clocks.SystemClock()
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._keys: list[str] = []  # sorted, so that a page costs no more than its length

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "MemoryStore":
        return cls()

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        layout.check_key(key)
        value = b"".join(base.pieces(data))
        with self._lock:
            if key not in self._objects:
                bisect.insort(self._keys, key)
            self._objects[key] = (value, self._clock.now())

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        base.check_range(start, length)
        value, _ = self._find(key)
        content = value[start : None if length is None else start + length]
        base.check_size(key, len(content))
        return content

    def stat(self, key: str) -> base.ObjectInfo:
        value, modified = self._find(key)
        return base.ObjectInfo(key, len(value), modified)

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        base.check_prefix(prefix)
        infos: list[base.ObjectInfo] = []
        with self._lock:
            after = bisect.bisect_right(self._keys, marker)
            for at in range(max(after, bisect.bisect_left(self._keys, prefix)), len(self._keys)):
                key = self._keys[at]
                if len(infos) == limit or not key.startswith(prefix):
                    break
                value, modified = self._objects[key]
                infos.append(base.ObjectInfo(key, len(value), modified))
        return infos

    def delete(self, key: str) -> None:
        layout.check_key(key)
        with self._lock:
            if self._objects.pop(key, None) is None:
                raise errors.ObjectNotFound(f"there is no object {key}")
            del self._keys[bisect.bisect_left(self._keys, key)]

    def _find(self, key: str) -> tuple[bytes, datetime]:
        layout.check_key(key)
        with self._lock:
            try:
                return self._objects[key]
            except KeyError:
                raise errors.ObjectNotFound(f"there is no object {key}") from None
