"""Limits of what is in flight."""

import threading


class Room:
    """Bytes that may be in flight at once. One request that is larger than that is alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._changed = threading.Condition()

    def take(self, size: int, timeout: float) -> bool:
        """Wait until there is room. Takes it in any case; returns whether it came within *timeout* seconds."""
        with self._changed:
            came = self._changed.wait_for(lambda: not self._used or self._used + size <= self._total, timeout)
            self._used += size
            return came

    def give(self, size: int) -> None:
        """Return what :meth:`take` took."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()
