"""What the API itself writes of restores and verifications is told, too."""

from collections.abc import Iterator

import pytest
from oslo_messaging.notify import notifier

from karbor_like import exception
from karbor_like.db.session import Database
from karbor_like.rpc import notifications
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A
from tests.fixtures.fake_protection import PROVIDER
from tests.fixtures.notifications import Told, told  # noqa: F401 - a fixture


@pytest.fixture
def database(conf, told: Told) -> Iterator[Database]:  # noqa: F811 - the fixture
    group = "oslo_messaging_notifications"
    conf.register_opts(notifier._notifier_opts, group=group)
    conf.set_override("driver", ["test"], group=group)
    handle = Database(conf)
    notifications.attach(conf, handle, "karbor-api")
    yield handle
    handle.dispose()


@pytest.fixture
def checkpoint(alice, protection) -> str:
    plan = alice.post("/plans", bodies.plan())["plan"]
    made = alice.post(f"/providers/{PROVIDER}/checkpoints", bodies.checkpoint(plan["id"]))["checkpoint"]
    protection.set_status(made["id"], "available")
    return made["id"]


def test_a_restore_that_is_taken(alice, checkpoint, told: Told):  # noqa: F811
    answer = alice.raw("POST", "/restores", bodies.restore(checkpoint))
    found = told.last("restore.run.start")
    assert found["request_id"] == answer.headers["x-openstack-request-id"]
    assert (found["user_id"], found["project_id"]) == ("user-member", PROJECT_A)
    assert (found["id"], found["checkpoint_id"]) == (answer.json["restore"]["id"], checkpoint)
    assert told.messages()[-1]["publisher_id"].startswith("karbor-api:")


def test_one_that_is_refused(alice, checkpoint, protection, told: Told):  # noqa: F811
    protection.broken["verify"] = exception.Conflict("somebody deletes it")
    assert alice.post("/verifications", bodies.verification(checkpoint))["verification"]["status"] == "fail"
    assert told.last("verification.run.error")["reason"] == "somebody deletes it"


def test_one_that_nobody_takes_is_withdrawn(alice, checkpoint, protection, told: Told):  # noqa: F811
    protection.broken["verify"] = exception.Unavailable("nobody is there")
    alice.post("/verifications", bodies.verification(checkpoint), status=503)
    found = told.last("verification.run.error")
    assert (found["old_status"], found["new_status"]) == ("in_progress", None)
