"""Notifications of runs of scheduled operations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_messaging.notify import notifier

from karbor_like.rpc import notifications
from tests.fixtures.notifications import Told, told  # noqa: F401 - a fixture
from tests.functional.operationengine.site import FOLLOW, PLAN, PROVIDER, Site


@pytest.fixture
def site(cloud, rest_api, clock, tmp_path: Path, told: Told) -> Iterator[Site]:  # noqa: F811 - the fixture
    opened = Site(cloud, clock, tmp_path)
    group = "oslo_messaging_notifications"
    opened.conf.register_opts(notifier._notifier_opts, group=group)
    opened.conf.set_override("driver", ["test"], group=group)
    notifications.attach(opened.conf, opened.database, "karbor-operationengine", clock)
    yield opened
    opened.close()


def test_a_successful_run_notifies(site: Site, rest_api, told: Told):  # noqa: F811
    operation = site.schedule()
    run = site.due()
    site.step()
    site.later(FOLLOW)
    sent = told.last("scheduled_run.run.end")
    assert told.events(run.id) == [
        ("scheduled_run.run.start", None, "started"),
        ("scheduled_run.run.end", "started", "succeeded"),
    ]
    assert sent["changed_at"] == site.clock.now().isoformat()
    assert sent["due_at"] == run.due_at.isoformat()
    expected = {
        "scheduled_operation_id": operation,
        "operation_type": "protect",
        "project_id": site.context.project_id,
        "user_id": site.context.user_id,
        "plan_id": PLAN,
        "provider_id": PROVIDER,
        "checkpoint_id": next(iter(rest_api.made)),
    }
    assert expected.items() <= sent.items()


def test_missed_and_skipped_runs_notify(site: Site, rest_api, told: Told):  # noqa: F811
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = "protecting"
    site.clock.advance(3600)
    site.scheduler.fire()
    sent = told.last("scheduled_run.run.error")
    assert (sent["old_status"], sent["new_status"]) == (None, "skipped")
    assert "has not ended" in sent["reason"]
    assert sent["operation_id"] == site.log()[-1].id

    site.clock.advance(3 * 3600)
    site.scheduler.fire()
    site.database.dispose()
    assert "missed" in {new for _, _, new in told.events()}


def test_a_failed_run_notifies(site: Site, rest_api, told: Told):  # noqa: F811
    site.schedule()
    site.due()
    rest_api.lacking.add(PLAN)
    assert site.step().state == "failed"
    sent = told.last("scheduled_run.run.error")
    assert (sent["old_status"], sent["new_status"]) == ("started", "failed")
    assert sent["reason"] == site.run().reason
