"""Notifications: what changed its state, for whoever listens on the operator's message bus. Off until a driver is named.

Other libraries' options switch this on: ``[oslo_messaging_notifications]`` of oslo.messaging. Every notification is an
object with name, version and data; the data is a :class:`StatusChange`, the same for all objects. The event type is
``<object>.<action>.<phase>``:

* an object is a ``checkpoint``, ``restore``, ``verification`` or ``scheduled_run``;
* the action is the type of the operation that moves a checkpoint (``protect``, ``delete``, ``copy`` ...), or ``update``
  where none does; for the others, ``run``;
* the phase is ``start``, ``end`` or ``error``. The last one has the priority ERROR, the others INFO.

Nobody waits for a bus: the process that made a change puts it into a queue, from which one thread sends. What cannot be
sent is dropped and logged.
"""

import contextlib
import dataclasses
import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_messaging.notify import notifier as oslo_notifier

from karbor_like.clock import Clock, SystemClock
from karbor_like.db import changes, scheduled_runs
from karbor_like.db.changes import Change
from karbor_like.db.models import Base, Checkpoint, Restore, ScheduledRun, Verification
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.rpc import transport

LOG = logging.getLogger(__name__)

VERSION: Final = "1.0"
NAMESPACE: Final = "karbor_like"
_DATA: Final = f"{NAMESPACE}_object.data"

#: Notifications that wait while the bus is away; what comes on top is dropped.
_WAITING = 10_000
#: Times that the library tries to reach the bus for one notification, where the operator says nothing else.
_RETRIES = 2
#: Seconds for sending what waits when the process ends.
_CLOSE_SECONDS = 5.0

_OBJECTS: Final[Mapping[type[Base], str]] = {
    Checkpoint: "checkpoint",
    Restore: "restore",
    Verification: "verification",
    ScheduledRun: "scheduled_run",
}
_STARTED: Final = frozenset({words.running for words in states.OPERATION.values()}) | {
    states.WAIT_COPYING,
    scheduled_runs.STARTED,
}
_FAILED: Final = frozenset({words.failed for words in states.OPERATION.values()}) | {
    scheduled_runs.FAILED,
    scheduled_runs.MISSED,
    scheduled_runs.SKIPPED,
}


@dataclasses.dataclass(frozen=True)
class StatusChange:
    """The data of a notification, version 1.0. Times are ISO 8601 in UTC, sizes bytes; null is "none" or "not known".

    A member may be added in a later 1.x; one that is removed or changes its meaning makes it 2.0.
    """

    id: str
    old_status: str | None
    new_status: str
    reason: str | None
    operation_type: str | None
    operation_id: str | None
    request_id: str | None
    project_id: str
    user_id: str | None
    provider_id: str | None
    plan_id: str | None
    checkpoint_id: str | None
    scheduled_operation_id: str | None
    due_at: str | None
    logical_bytes: int | None
    new_bytes: int | None
    stored_bytes: int | None
    created_at: str
    changed_at: str


def attach(conf: cfg.ConfigOpts, database: Database, binary: str, clock: Clock | None = None) -> None:
    """Send a notification for each change of state that *database* commits, until it is disposed of.

    Nothing happens and nothing is made where ``[oslo_messaging_notifications] driver`` is empty. To be called after a fork.

    :param binary: the first half of the publisher's id, ``<binary>:<host>``
    """
    transport.set_defaults()
    cfg.set_defaults(oslo_notifier._notifier_opts, retry=_RETRIES)
    conf.register_opts(oslo_notifier._notifier_opts, group="oslo_messaging_notifications")
    if set(conf.oslo_messaging_notifications.driver) <= {"noop"}:
        return
    bus = oslo_messaging.get_notification_transport(conf)
    sender = Sender(oslo_messaging.Notifier(bus, f"{binary}:{conf.service.host}"), clock or SystemClock())
    changes.watch(database, sender.notify)
    # Last one first: what waits is sent, and then the bus is left.
    database.on_dispose(bus.cleanup)
    database.on_dispose(sender.close)


def event_type(change: Change) -> str:
    """Object, action and phase of a change."""
    return f"{_OBJECTS[type(change.row)]}.{_action(change)}.{phase(change.new)}"


def _action(change: Change) -> str:
    if not isinstance(change.row, Checkpoint):
        return "run"
    return change.operation.operation_type if change.operation else "update"


def phase(status: str) -> str:
    """Return what a new status means: ``start``, ``end`` or ``error``."""
    if status in _FAILED:
        return "error"
    return "start" if status in _STARTED else "end"


def status_change(change: Change, now: datetime) -> StatusChange:
    """The data of a change that was made at *now*."""
    row, operation, context = change.row, change.operation, oslo_context.get_current()
    # Nearest first: what the row itself says, then what belongs to it.
    sources = (row, change.scheduled, operation, change.checkpoint)
    request_id = operation.parameters.get("request_id") if operation else getattr(context, "request_id", None)
    sizes = {name: getattr(row, name, None) for name in ("logical_bytes", "new_bytes", "stored_bytes")}
    return StatusChange(
        id=row.id,
        old_status=change.old,
        new_status=change.new,
        reason=row.reason,
        operation_type=_first("operation_type", sources),
        operation_id=operation.id if operation else None,
        request_id=request_id,
        project_id=row.project_id,
        user_id=_first("user_id", (*sources, context)),
        provider_id=_first("provider_id", sources) or _defined(change, "provider_id"),
        plan_id=_first("plan_id", sources),
        checkpoint_id=row.id if isinstance(row, Checkpoint) else row.checkpoint_id,
        scheduled_operation_id=_first("scheduled_operation_id", sources),
        due_at=_time(getattr(row, "due_at", None)),
        created_at=str(_time(row.created_at)),
        changed_at=str(_time(now)),
        **sizes,
    )


def _first(name: str, sources: Sequence[Any]) -> Any:
    return next((value for source in sources if (value := getattr(source, name, None)) is not None), None)


def _defined(change: Change, name: str) -> Any:
    return change.scheduled.operation_definition.get(name) if change.scheduled else None


def _time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value else None


def payload(change: Change, now: datetime) -> dict[str, Any]:
    """What is sent for a change: the data, and what says which members it has."""
    return {
        f"{NAMESPACE}_object.name": StatusChange.__name__,
        f"{NAMESPACE}_object.namespace": NAMESPACE,
        f"{NAMESPACE}_object.version": VERSION,
        _DATA: dataclasses.asdict(status_change(change, now)),
    }


class Sender:
    """Sends in a thread of its own, in the order in which it is told."""

    def __init__(self, notifier: oslo_messaging.Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._waiting: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        self._thread.start()

    def notify(self, found: Sequence[Change]) -> None:
        """Have a notification sent for each; returns at once."""
        now = self._clock.now()
        for change in found:
            kind = event_type(change)
            try:
                self._waiting.put_nowait((kind, payload(change, now)))
            except queue.Full:
                LOG.warning("the message bus is away or slow: notification %s of %s is dropped", kind, change.row.id)

    def close(self) -> None:
        """Send what waits, for a few seconds; what is left after that is dropped."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            LOG.warning("%s notifications were not sent: the message bus is away or slow", self._waiting.qsize())

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            kind, body = item
            send = self._notifier.error if kind.endswith(".error") else self._notifier.info
            try:
                send({}, kind, body)
            except Exception:  # noqa: BLE001 - the border of a thread; what a driver cannot send it logs by itself
                LOG.exception("notification %s of %s is dropped", kind, body[_DATA]["id"])
