"""Limits on the bytes per second that a store sends and receives."""

from collections.abc import Callable, Sequence
from typing import Final

from karbor_like.bank import layout
from karbor_like.bank.objectstore import base
from karbor_like.rate import Rate


def limited(
    store: base.ObjectStore, rates: Sequence[Rate], check: Callable[[], None] = lambda: None
) -> base.ObjectStore:
    """Return *store* with *rates* in addition to those that it has. It is *store* itself if no rate is limited now.

    :param rates: in the order in which bytes pass them, the narrowest first
    :param check: called several times a second while bytes wait; raises to stop
    """
    inner, own = (store.inner, store.rates) if isinstance(store, LimitedStore) else (store, ())
    effective = [rate for rate in (*rates, *own) if rate.is_limited]
    return LimitedStore(inner, effective, check) if effective else inner


class LimitedStore(base.ObjectStore):
    """A store whose packs pass some rates before they are put, or got.

    Packs hold the data. All other objects are small, and some of them must not be late, such as leases: they never wait and
    do not count. Bytes count when they are requested, and once, although *inner* may repeat the request.

    :param inner: a store that retries: time that is spent waiting is not that of a request
    """

    def __init__(self, inner: base.ObjectStore, rates: Sequence[Rate], check: Callable[[], None]) -> None:
        self.inner: Final = inner
        self.rates: Final = rates
        self.requests_at_once = inner.requests_at_once
        self.frees_room_at_once = inner.frees_room_at_once
        self._check = check

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        buffers = base.pieces(data)
        self._take(key, sum(memoryview(buffer).nbytes for buffer in buffers))
        self.inner.put(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if length is not None:
            self._take(key, length)
            return self.inner.get(key, start, length)
        content = self.inner.get(key, start)
        # The size is only known now. What follows waits for these bytes.
        self._take(key, len(content))
        return content

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        self._take(key, len(target))
        return self.inner.get_into(key, start, target)

    def stat(self, key: str) -> base.ObjectInfo:
        return self.inner.stat(key)

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        return self.inner.list(prefix, marker, limit)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def close(self) -> None:
        self.inner.close()

    def _take(self, key: str, count: int) -> None:
        if key.startswith(layout.DATA):
            for rate in self.rates:
                rate.take(count, self._check)
