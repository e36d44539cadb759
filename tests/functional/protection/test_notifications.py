"""Every committed status change of a checkpoint, restore or verification is notified, without a secret."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import oslo_messaging
import pytest

from karbor_like import exception
from karbor_like.db import checkpoints
from tests.cloud.net import free_port
from tests.fixtures.endpoint import unwrap
from tests.fixtures.notifications import Told, switch_on, told  # noqa: F401 - a fixture
from tests.functional.protection.site import PROJECT, PROVIDER, Site, running, until, write_files


@pytest.fixture
def site(tmp_path: Path, files: Path, told: Told) -> Iterator[Site]:  # noqa: F811 - the fixture
    """A running service that sends notifications."""
    switch_on(files)
    with running(Site(tmp_path, files)) as found:
        found.cloud.plant({"a": []})
        yield found


def test_the_life_of_a_checkpoint(site: Site, told: Told):  # noqa: F811
    context = site.context()
    plan_id = site.plan("a")
    created = site.protect(plan_id=plan_id, context=context)["id"]
    row = site.wait(created, "available")
    site.delete(created)
    site.wait(created, "deleted")
    told.last("checkpoint.delete.end")

    assert told.events(created) == [
        ("checkpoint.protect.start", None, "protecting"),
        ("checkpoint.protect.end", "protecting", "available"),
        ("checkpoint.delete.start", "available", "deleting"),
        ("checkpoint.delete.end", "deleting", "deleted"),
    ]
    found = told.last("checkpoint.protect.end")
    changed = datetime.fromisoformat(found.pop("changed_at"))
    assert timedelta(0) <= datetime.now(UTC) - changed < timedelta(minutes=5)
    assert found == {
        "id": created,
        "old_status": "protecting",
        "new_status": "available",
        "reason": None,
        "operation_type": "protect",
        "operation_id": site.operation(checkpoint_id=created, operation_type="protect").id,
        "request_id": context.request_id,
        "project_id": PROJECT,
        "user_id": "alice",
        "provider_id": PROVIDER,
        "plan_id": plan_id,
        "checkpoint_id": created,
        "scheduled_operation_id": None,
        "due_at": None,
        "logical_bytes": 100,
        "new_bytes": 60,
        "stored_bytes": 30,
        "created_at": row.created_at.isoformat(),
    }
    assert {(message["publisher_id"], message["priority"]) for message in told.messages()} == {
        ("karbor-protection:here", "INFO")
    }


def test_a_protect_that_fails(site: Site, told: Told):  # noqa: F811
    site.cloud.fault(**{"main:a": "fail"})
    created = site.protect("a")["id"]
    row = site.wait(created, "error")
    assert told.last("checkpoint.protect.error")["reason"] == row.reason
    assert told.messages()[-1]["priority"] == "ERROR"


def test_restores_and_verifications(site: Site, told: Told):  # noqa: F811
    created = site.protect("a")["id"]
    site.wait(created, "available")
    restore_id, verification_id = site.restore(created), site.verify(created)
    site.wait_done(restore_id=restore_id)
    site.wait_done(verification_id=verification_id)
    found = told.last("restore.run.end")
    told.last("verification.run.end")
    assert told.events(restore_id) == [
        ("restore.run.start", None, "in_progress"),
        ("restore.run.end", "in_progress", "success"),
    ]
    assert told.events(verification_id) == [
        ("verification.run.start", None, "in_progress"),
        ("verification.run.end", "in_progress", "success"),
    ]
    assert (found["operation_id"], found["operation_type"]) == (site.operation(restore_id=restore_id).id, "restore")
    assert (found["plan_id"], found["checkpoint_id"]) == (site.checkpoint(created).plan_id, created)


def test_a_cancelled_protect(site: Site, told: Told):  # noqa: F811
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.cloud.fault(**{"verify:a": "wait"})
    verification_id = site.verify(created)
    site.endpoint.cancel(site.context(), operation_id=site.operation(verification_id=verification_id).id)
    site.wait_done(verification_id=verification_id)
    assert told.last("verification.run.error")["reason"] == "cancelled"


def test_a_refused_verification_sends_no_notification(site: Site, told: Told):  # noqa: F811
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.delete(created)
    site.wait(created, "deleted")
    with pytest.raises(exception.CheckpointNotAvailable):
        site.verify(created)
    told.last("checkpoint.delete.end")
    assert not [event for event, _, _ in told.events() if event.startswith("verification")]


def test_a_reset_by_request_and_a_change_at_another_site(site: Site, told: Told):  # noqa: F811
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.endpoint.reset_checkpoint(site.context(), provider_id=PROVIDER, checkpoint_id=created, state="error")
    found = told.last("checkpoint.update.error")
    assert (found["user_id"], found["operation_id"], found["reason"]) == ("alice", None, "reset by request")
    site.env.database.write(lambda session: checkpoints.move(session, created, "available", ["error"], reason="sync"))
    assert told.last("checkpoint.update.end")["old_status"] == "error"


def test_a_change_that_the_bank_refused_is_not_notified(site: Site, told: Told):  # noqa: F811
    site.cloud.fault(**{"main:a": "fail"})
    created = site.protect("a")["id"]
    site.wait(created, "error")
    call = {"provider_id": PROVIDER, "checkpoint_id": created, "state": "available"}
    with pytest.raises(exception.KarborLikeError):
        unwrap(lambda: site.endpoint.reset_checkpoint(site.context(), **call))
    assert site.checkpoint(created).status == "error"
    site.delete(created)
    told.last("checkpoint.delete.start")
    assert "available" not in {new for _, _, new in told.events(created)}


def test_notifications_carry_no_secret(site: Site, told: Told, caplog: pytest.LogCaptureFixture):  # noqa: F811
    created = site.protect("a")["id"]
    site.wait(created, "available")
    target = f"http://127.0.0.1:{free_port()}/v3"
    sealed = site.env.cipher.encrypt({"type": "password", "username": "bob", "password": "hunter2"})
    with pytest.raises(exception.KarborLikeError):
        site.restore(created, restore_target=target, restore_auth=sealed)
    site.delete(created)
    site.wait(created, "deleted")
    told.last("checkpoint.delete.end")
    text = json.dumps(told.messages()) + caplog.text
    for secret in ("alice's token", "trusted", "hunter2", sealed):
        assert secret not in text


def test_nothing_is_sent_unless_notifications_are_switched_on(tmp_path: Path, files: Path, told: Told):  # noqa: F811
    site = Site(tmp_path, files)
    assert "notifications" not in {thread.name for thread in threading.enumerate()}
    with running(site):
        site.cloud.plant({"a": []})
        site.wait(site.protect("a")["id"], "available")
    assert told.messages() == []


def test_an_unreachable_bus_delays_nothing(tmp_path: Path, files: Path):
    files.write_text(
        files.read_text() + "\n[oslo_messaging_notifications]\ndriver = messagingv2\n"
        f"transport_url = rabbit://guest:guest@127.0.0.1:{free_port()}/\n"
    )
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    begin = time.monotonic()
    with running(site):
        created = site.protect("a")["id"]
        assert site.wait(created, "available", seconds=240).status == "available"
        site.delete(created)
        assert site.wait(created, "deleted", seconds=240).status == "deleted"
    assert time.monotonic() - begin < 120, "the notifications' bus was waited for"


@pytest.mark.rabbitmq
def test_over_rabbitmq(tmp_path: Path, files: Path, rabbitmq):
    path = write_files(tmp_path, transport=rabbitmq.new_vhost())
    path.write_text(path.read_text() + "\n[oslo_messaging_notifications]\ndriver = messagingv2\ntopics = backups\n")
    site = Site(tmp_path, path)
    received: list[tuple[str, str]] = []

    class Listener:
        def info(self, ctxt, publisher_id, event_type, payload, metadata):
            received.append((event_type, payload["karbor_like_object.data"]["id"]))

        def error(self, ctxt, publisher_id, event_type, payload, metadata):
            received.append((event_type, payload["karbor_like_object.data"]["reason"]))

    bus = oslo_messaging.get_notification_transport(site.conf)
    listener = oslo_messaging.get_notification_listener(bus, [oslo_messaging.Target(topic="backups")], [Listener()])
    listener.start()
    try:
        with running(site):
            site.cloud.plant({"a": []})
            created = site.protect("a")["id"]
            site.wait(created, "available")
            site.cloud.fault(**{"main:a": "fail"})
            reason = site.wait(site.protect("a")["id"], "error").reason
            wanted = {("checkpoint.protect.end", created), ("checkpoint.protect.error", reason)}
            until(lambda: set(received), lambda found: wanted <= found, 240, "notifications")
    finally:
        listener.stop()
        listener.wait()
        bus.cleanup()
