"""Events of a checkpoint: small objects, of which the last one tells the status.

See ``doc/source/contributor/bank-concurrency.rst``, section *Checkpoints*.
"""

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from karbor_like.bank import errors, layout
from karbor_like.bank.format import jsonobject, manifest, seal
from karbor_like.bank.objectstore import concurrently, listing
from karbor_like.bank.objectstore.base import ObjectStore
from karbor_like.clock import Clock

VERSION: Final = 1

PROTECTING: Final = "protecting"
AVAILABLE: Final = "available"
ERROR: Final = "error"
DELETING: Final = "deleting"
DELETED: Final = "deleted"
ERROR_DELETING: Final = "error-deleting"
COPYING: Final = "copying"
WAIT_COPYING: Final = "wait_copying"

#: The statuses that an event can set. DELETED is set by the tombstone.
STATUSES: Final = (PROTECTING, AVAILABLE, ERROR, DELETING, ERROR_DELETING, COPYING, WAIT_COPYING)

#: The statuses of a checkpoint that is being written.
UNFINISHED: Final = frozenset({PROTECTING, COPYING, WAIT_COPYING})


@dataclass(frozen=True)
class Event:
    """An event.

    :param seq: grows from event to event of a checkpoint
    :param status: one of STATUSES
    :param at: time by the clock of the process that wrote it
    :param detail: any JSON, such as the reason for an error
    :param pins: of a commit: prefix of a document's or stream's name -> key of its valid object
    :param claim: of a commit: number of its writer's claim; -1 if it names none, as in early versions
    """

    key: str
    seq: int
    status: str
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[str, str] | None = None
    claim: int = -1


def micros(when: datetime) -> int:
    """Convert a time to microseconds since 1970."""
    since = when - datetime.fromtimestamp(0, UTC)
    return (since.days * 86400 + since.seconds) * 10**6 + since.microseconds


def status_of(events: Sequence[Event]) -> str:
    """Return the status after *events*, which are in order. Commits with another claim than the valid one do not count."""
    commit = commit_of(events)
    counting = (
        event for event in reversed(events) if event.pins is None or commit is None or event.claim == commit.claim
    )
    return next((event.status for event in counting), PROTECTING)


def commit_of(events: Sequence[Event]) -> Event | None:
    """Return the valid commit among *events*, if any: of those with the latest claim, the first one.

    A reset of the status adds commits with the same pins. The commit of a writer that was taken over may reach the store
    late. The order of the claims does not depend on any clock.
    """
    return max((event for event in events if event.pins is not None), key=lambda event: event.claim, default=None)


def pins_of(events: Sequence[Event]) -> Mapping[str, str] | None:
    """Return the pins of the valid commit among *events*; None if there is no commit."""
    commit = commit_of(events)
    return commit.pins if commit else None


class Events:
    """Reads and writes the events of checkpoints."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def fetch(self, checkpoint_id: str) -> Mapping[str, bytes]:
        """Read the events of a checkpoint as they are stored, in order: key -> bytes."""
        listed = listing.parsed(self._store, layout.events_prefix(checkpoint_id), layout.parse_event_key)
        keys = [info.key for info, _ in listed]
        found = zip(keys, concurrently.each(self._find, keys), strict=True)
        return {key: raw for key, raw in found if raw is not None}

    def _find(self, key: str) -> bytes | None:
        # The listing may lag behind a deletion.
        with contextlib.suppress(errors.ObjectNotFound):
            return self._store.get(key)
        return None

    def decode(self, fetched: Mapping[str, bytes], resolve_key: manifest.KeyResolver) -> Sequence[Event]:
        """Open the events that :meth:`fetch` has read.

        :param resolve_key: finds the keys of the checkpoint's project; None if the bank is not encrypted
        :raises Corrupted: an event is damaged
        :raises KeyUnavailable: its key is unavailable
        """
        return [self._decode(key, seal.unseal(key, raw, resolve_key)) for key, raw in fetched.items()]

    def _decode(self, key: str, payload: bytes) -> Event:
        seq, status = layout.parse_event_key(key)
        body = jsonobject.load(key, payload, VERSION)
        try:
            at = jsonobject.moment(key, body["at"])
            detail, pins, claim = dict(body["detail"]), body.get("pins"), int(body.get("claim", -1))
            if pins is not None:
                pins = {prefix: _pinned(key, prefix, pinned) for prefix, pinned in pins.items()}
        except (KeyError, TypeError, ValueError, AttributeError, errors.InvalidKey):
            raise errors.Corrupted(f"{key}: members of the event are missing or of the wrong type") from None
        return Event(key, seq, status, at, detail, pins, claim)

    def append(
        self,
        checkpoint_id: str,
        events: Sequence[Event],
        status: str,
        secret: seal.Secret | None,
        *,
        detail: Mapping[str, Any] | None = None,
        pins: Mapping[str, str] | None = None,
        claim: int = -1,
        put: Callable[[str, bytes], None] | None = None,
    ) -> Event:
        """Put an event after *events*, the events so far.

        :param put: stores it; None: the store
        """
        now = self._clock.now()
        seq = max(micros(now), events[-1].seq + 1 if events else 0)
        key = layout.event_key(checkpoint_id, seq, secrets.token_hex(4), status)
        event = Event(key, seq, status, now, dict(detail or {}), pins, claim)
        (put or self._store.put)(key, self._encode(event, secret))
        return event

    def _encode(self, event: Event, secret: seal.Secret | None) -> bytes:
        body: dict[str, Any] = {"version": VERSION, "at": event.at.isoformat(), "detail": dict(event.detail)}
        if event.pins is not None:
            body |= {"pins": dict(event.pins), "claim": event.claim}
        return seal.seal(event.key, jsonobject.dump(body), secret)


def _pinned(key: str, prefix: str, pinned: str) -> str:
    """Return *pinned* if it is a version of the name *prefix*, in the checkpoint of the event *key*. Raises InvalidKey."""
    checkpoint_id = layout.parse_resource_key(pinned).checkpoint_id
    if layout.name_prefix(pinned) != prefix or not key.startswith(layout.checkpoint_prefix(checkpoint_id)):
        raise errors.InvalidKey(f"{pinned!r} is not a version of {prefix!r}")
    return pinned
