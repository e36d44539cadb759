"""Room that is kept in a bank, so that a full one can still be read, thinned out and collected.

Deletions, the collector and readers must store a little before they free anything or read. Their puts may take room from the
reserve: objects without meaning, of which one is deleted when such a put finds the store full. What a protect operation or a
copy stores is never put this way, so a bank becomes full for them first.
"""

import contextlib
import hashlib
import logging
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base, listing
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

#: Seconds between the deletion of each object of the reserve and the next attempt, if the store may not know of the room yet:
#: the usage that Swift compares with a quota is up to a minute old.
_PAUSES: Final = (0, 5, 20, 40)


class Reserve:
    """The reserve of one bank. Safe to use from several threads and processes.

    :param size: bytes of all its objects together; 0: there is no reserve
    """

    def __init__(self, store: base.ObjectStore, clock: Clock, size: int) -> None:
        self._store = store
        self._clock = clock
        self._keys = [layout.reserve_key(number) for number in range(len(_PAUSES))] if size else []
        self._piece = size // len(_PAUSES)
        # Whether all of it was there when this process last looked or used it; None before that.
        self._complete: bool | None = None

    def put(self, key: str, data: bytes) -> None:
        """Store *data* under *key*, in room of the reserve if there is no other.

        :raises BankFull: the reserve does not suffice, or there is none
        """
        try:
            self._store.put(key, data)
            return
        except errors.BankFull as error:
            full = error
        pauses = iter([0] * len(_PAUSES) if self._store.frees_room_at_once else _PAUSES)
        for piece in self._keys:
            try:
                self._store.delete(piece)
            except errors.ObjectNotFound:
                continue
            self._complete = False
            LOG.warning("The bank is full. %s was deleted to make room for %s", piece, key)
            self._clock.sleep(next(pauses))
            with contextlib.suppress(errors.BankFull):
                self._store.put(key, data)
                return
        raise full

    def ensure(self) -> None:
        """:meth:`fill` the reserve, unless it was complete when this process last looked."""
        if not self._complete:
            self.fill()

    def refill(self) -> None:
        """:meth:`fill` the reserve if this process has used it."""
        if self._complete is False:
            self.fill()

    def fill(self) -> None:
        """Store what is missing of the reserve, as far as there is room."""
        there = {info.key for info in listing.objects(self._store, layout.RESERVE)}
        with contextlib.suppress(errors.BankFull):
            for key in self._keys:
                if key not in there:
                    self._store.put(key, self._content(key))
            self._complete = True

    def remove(self) -> None:
        """Delete the reserve: there is nothing left in the bank that needs it."""
        self._complete = None
        for info in list(listing.objects(self._store, layout.RESERVE)):
            with contextlib.suppress(errors.ObjectNotFound):
                self._store.delete(info.key)

    def _content(self, key: str) -> bytes:
        # The same at each put, and nothing that a store could compress.
        return hashlib.shake_256(key.encode()).digest(self._piece)
