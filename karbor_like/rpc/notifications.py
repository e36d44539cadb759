"""Notifications of status changes on the operator's message bus. Disabled until a driver is configured.

The options are ``[oslo_messaging_notifications]`` of oslo.messaging. Every notification is an object with name, version and
data. The data is a :class:`StatusChange` for all objects. The event type is ``<object>.<action>.<phase>``:

* an object is a ``checkpoint``, ``restore``, ``verification``, ``scheduled_run`` or ``plan``;
* the action for a checkpoint is the type of the operation that changes it (``protect``, ``delete``, ``copy``), or ``update``
  without an operation; for a plan, it is ``rpo``; for other objects, it is ``run``;
* the phase is ``start``, ``end`` or ``error``. The last one has the priority ERROR, the others INFO.

Writers never wait for the bus: a change is put into a queue, from which one thread sends. A notification that cannot be
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
from karbor_like.db import changes, plans, scheduled_runs
from karbor_like.db.changes import Change
from karbor_like.db.models import Base, Checkpoint, Plan, Restore, ScheduledRun, Verification, base
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.rpc import transport

LOG = logging.getLogger(__name__)

VERSION: Final = "1.0"
NAMESPACE: Final = "karbor_like"
_DATA: Final = f"{NAMESPACE}_object.data"

#: Size of the queue. While the bus is unreachable and the queue is full, notifications are dropped.
_WAITING = 10_000
#: Default number of retries for a notification.
_RETRIES = 2
#: Seconds for sending queued notifications when the process ends.
_CLOSE_SECONDS = 5.0

_OBJECTS: Final[Mapping[type[Base], str]] = {
    Checkpoint: "checkpoint",
    Restore: "restore",
    Verification: "verification",
    ScheduledRun: "scheduled_run",
    Plan: "plan",
}
_STARTED: Final = frozenset({words.running for words in states.OPERATION.values()}) | {
    states.WAIT_COPYING,
    scheduled_runs.STARTED,
}
_FAILED: Final = frozenset({words.failed for words in states.OPERATION.values()}) | {
    scheduled_runs.FAILED,
    scheduled_runs.MISSED,
    scheduled_runs.SKIPPED,
    plans.VIOLATED,
}


@dataclasses.dataclass(frozen=True)
class StatusChange:
    """Data of a notification, version 1.0. Times are ISO 8601 in UTC, sizes are bytes, null means absent or unknown.

    An added member raises the minor version. A removed member or a changed meaning raises the major version.
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
    """Send a notification for each status change that *database* commits, until the database is closed.

    Must be called after a fork. Does nothing if ``[oslo_messaging_notifications] driver`` is empty.

    :param binary: first half of the publisher id, ``<binary>:<host>``
    """
    transport.set_defaults()
    cfg.set_defaults(oslo_notifier._notifier_opts, retry=_RETRIES)
    conf.register_opts(oslo_notifier._notifier_opts, group="oslo_messaging_notifications")
    if set(conf.oslo_messaging_notifications.driver) <= {"noop"}:
        return
    bus = oslo_messaging.get_notification_transport(conf)
    sender = Sender(oslo_messaging.Notifier(bus, f"{binary}:{conf.service.host}"), clock or SystemClock())
    changes.watch(database, sender.notify)
    # Called in reverse order: queued notifications are sent before the connection is closed.
    database.on_dispose(bus.cleanup)
    database.on_dispose(sender.close)


def event_type(change: Change) -> str:
    """Return the event type of a change."""
    return f"{_OBJECTS[type(change.row)]}.{_action(change)}.{_phase(change)}"


def _phase(change: Change) -> str:
    # A refused deletion leaves the status that the checkpoint had before.
    refused = change.old == states.DELETING and change.operation is not None and change.new != states.DELETED
    return "error" if refused else phase(change.new)


def _action(change: Change) -> str:
    if isinstance(change.row, Plan):
        return "rpo"
    if not isinstance(change.row, Checkpoint):
        return "run"
    return change.operation.operation_type if change.operation else "update"


def phase(status: str) -> str:
    """Return what a new status means: ``start``, ``end`` or ``error``."""
    if status in _FAILED:
        return "error"
    return "start" if status in _STARTED else "end"


def status_change(change: Change, now: datetime) -> StatusChange:
    """Return the data of a change that happened at *now*."""
    row, operation, context = change.row, change.operation, oslo_context.get_current()
    # In order of precedence: the row itself, then the rows that belong to it.
    sources = (row, change.scheduled, operation, change.checkpoint)
    request_id = operation.parameters.get("request_id") if operation else getattr(context, "request_id", None)
    sizes = {name: getattr(row, name, None) for name in ("logical_bytes", "new_bytes", "stored_bytes")}
    return StatusChange(
        id=row.id,
        old_status=change.old,
        new_status=change.new,
        # The row has the whole text until it is read again.
        reason=base.cut(getattr(row, "reason", None)),
        operation_type=_first("operation_type", sources),
        operation_id=operation.id if operation else None,
        request_id=request_id,
        project_id=row.project_id,
        user_id=_first("user_id", (*sources, context)),
        provider_id=_first("provider_id", sources) or _defined(change, "provider_id"),
        plan_id=row.id if isinstance(row, Plan) else _first("plan_id", sources),
        checkpoint_id=row.id if isinstance(row, Checkpoint) else getattr(row, "checkpoint_id", None),
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
    """Return the payload for a change: the data with its name and version."""
    return {
        f"{NAMESPACE}_object.name": StatusChange.__name__,
        f"{NAMESPACE}_object.namespace": NAMESPACE,
        f"{NAMESPACE}_object.version": VERSION,
        _DATA: dataclasses.asdict(status_change(change, now)),
    }


class Sender:
    """Sends notifications from its own thread, in the order of the changes."""

    def __init__(self, notifier: oslo_messaging.Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._waiting: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        self._thread.start()

    def notify(self, committed: Sequence[Change]) -> None:
        """Queue a notification for each change. Never blocks."""
        now = self._clock.now()
        for change in committed:
            kind = event_type(change)
            try:
                self._waiting.put_nowait((kind, payload(change, now)))
            except queue.Full:
                LOG.warning(
                    "The message bus is unreachable or slow: notification %s of %s is dropped", kind, change.row.id
                )

    def close(self) -> None:
        """Send queued notifications for a few seconds, and drop the rest."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            LOG.warning("%s notifications were not sent: the message bus is unreachable or slow", self._waiting.qsize())

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            kind, body = item
            send = self._notifier.error if kind.endswith(".error") else self._notifier.info
            try:
                send({}, kind, body)
            except Exception:  # noqa: BLE001 - top of a thread; drivers log delivery failures themselves
                LOG.exception("Notification %s of %s is dropped", kind, body[_DATA]["id"])
