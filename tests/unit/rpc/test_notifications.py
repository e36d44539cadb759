"""Event types, payload and the queue; that the guide describes what is sent."""

import json
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from karbor_like.clock import ManualClock
from karbor_like.db.changes import Change
from karbor_like.db.models import Checkpoint, Operation, Plan, Restore, ScheduledRun, Verification
from karbor_like.domain import states
from karbor_like.rpc import notifications

GUIDE = Path(__file__).parents[3] / "doc/source/admin/notifications.rst"


def checkpoint(**values: Any) -> Checkpoint:
    given = {"id": "c", "project_id": "p", "provider_id": "v", "plan_id": "plan", "reason": None, **values}
    return Checkpoint(created_at=datetime(2031, 1, 1, tzinfo=UTC), **given)


class Notifier:
    """In oslo.messaging's place; sends when it is allowed to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.may_send = threading.Event()
        self.failing = False

    def info(self, ctxt: Any, event_type: str, payload: Any) -> None:
        self.may_send.wait(20)
        if self.failing:
            raise RuntimeError("a bug")
        self.sent.append((event_type, payload["karbor_like_object.data"]["id"]))

    error = info


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("protecting", "start"),
        ("deleting", "start"),
        ("wait_copying", "start"),
        ("copying", "start"),
        ("in_progress", "start"),
        ("started", "start"),
        ("available", "end"),
        ("deleted", "end"),
        ("success", "end"),
        ("succeeded", "end"),
        ("error", "error"),
        ("error-deleting", "error"),
        ("fail", "error"),
        ("failed", "error"),
        ("missed", "error"),
        ("skipped", "error"),
        ("violated", "error"),
        ("met", "end"),
    ],
)
def test_phases(status: str, phase: str):
    assert notifications.phase(status) == phase


def test_no_state_has_a_phase_by_accident():
    known = {"available", "deleted", "success", "succeeded"}
    for lifecycle in (states.CHECKPOINT, states.RESTORE, states.VERIFICATION):
        assert {state for state in lifecycle.changes if notifications.phase(state) == "end"} <= known


def test_event_types():
    cases = {
        "checkpoint.copy.end": Change(checkpoint(), "copying", "available", Operation(operation_type="copy")),
        "checkpoint.delete.error": Change(checkpoint(), "deleting", "available", Operation(operation_type="delete")),
        "checkpoint.update.error": Change(checkpoint(), "available", "error"),
        "restore.run.start": Change(Restore(), None, "in_progress"),
        "verification.run.error": Change(Verification(), "in_progress", "fail"),
        "scheduled_run.run.error": Change(ScheduledRun(), None, "missed"),
        "plan.rpo.error": Change(Plan(), None, "violated"),
        "plan.rpo.end": Change(Plan(), "violated", "met"),
    }
    assert {name: notifications.event_type(change) for name, change in cases.items()} == {name: name for name in cases}


def test_the_guide_describes_every_event_type_and_member():
    text = GUIDE.read_text()
    described = set(re.findall(r"\* - ``(\w+\.\w+)\.\*``", text))
    moving = set(states.OPERATION) - {"restore", "verify"}
    others = {"checkpoint.update", "restore.run", "verification.run", "scheduled_run.run", "plan.rpo"}
    assert described == {f"checkpoint.{kind}" for kind in moving} | others

    members = list(notifications.StatusChange.__dataclass_fields__)
    assert re.findall(r"\* - ``(\w+)``", text) == members
    example = json.loads(re.search(r"^   \{.*?^   \}", text, re.MULTILINE | re.DOTALL).group())
    sent = notifications.payload(Change(checkpoint(), None, "protecting"), datetime(2031, 1, 1, tzinfo=UTC))
    assert set(example) == set(sent)
    assert list(example["karbor_like_object.data"]) == members
    assert example["karbor_like_object.version"] == sent["karbor_like_object.version"]


def test_a_payload_is_plain_json_in_utc():
    sent = notifications.payload(Change(checkpoint(new_bytes=5), None, "protecting"), datetime(2031, 1, 1, tzinfo=UTC))
    data = json.loads(json.dumps(sent))["karbor_like_object.data"]
    assert data["created_at"] == data["changed_at"] == "2031-01-01T00:00:00+00:00"
    assert (data["new_bytes"], data["logical_bytes"], data["checkpoint_id"]) == (5, None, "c")


def test_a_plan_is_named_by_its_notification():
    row = Plan(id="plan", project_id="p", provider_id="v", created_at=datetime(2031, 1, 1, tzinfo=UTC))
    sent = notifications.status_change(Change(row, None, "violated"), datetime(2031, 1, 2, tzinfo=UTC))
    assert (sent.id, sent.plan_id, sent.project_id, sent.provider_id) == ("plan", "plan", "p", "v")
    assert (sent.old_status, sent.new_status, sent.checkpoint_id, sent.reason) == (None, "violated", None, None)


def test_what_is_too_much_is_dropped_and_nobody_waits(monkeypatch, caplog):
    monkeypatch.setattr(notifications, "_WAITING", 3)
    monkeypatch.setattr(notifications, "_CLOSE_SECONDS", 20)
    notifier = Notifier()
    sender = notifications.Sender(notifier, ManualClock())
    for number in range(10):
        sender.notify([Change(checkpoint(id=str(number)), None, "protecting")])
    assert notifier.sent == []
    notifier.may_send.set()
    sender.close()
    numbers = [int(number) for _, number in notifier.sent]
    assert len(numbers) in (3, 4)
    assert numbers == sorted(numbers)
    assert caplog.text.count("is dropped") == 10 - len(numbers)


def test_closing_does_not_wait_for_ever(monkeypatch, caplog):
    monkeypatch.setattr(notifications, "_CLOSE_SECONDS", 0.05)
    notifier = Notifier()
    sender = notifications.Sender(notifier, ManualClock())
    for _ in range(3):
        sender.notify([Change(checkpoint(), None, "protecting")])
    sender.close()
    assert "were not sent" in caplog.text
    notifier.may_send.set()


def test_one_that_cannot_be_sent_does_not_stop_the_others(caplog):
    notifier = Notifier()
    notifier.may_send.set()
    notifier.failing = True
    sender = notifications.Sender(notifier, ManualClock())
    sender.notify([Change(checkpoint(), None, "protecting")])
    sender.close()
    assert "Notification checkpoint.update.start of c is dropped" in caplog.text
