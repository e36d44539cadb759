"""Schedules: what runs by itself, in a user's name, with nobody logged in, and what becomes of it when it may not."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenario.tenant import VOLUME, Tenant, member_role, random_bytes, until

RUNS = 2


@pytest.fixture
def volume(cloud, alice) -> Iterator[Any]:
    made = alice.volume("scheduled")
    cloud.write_volume(made.id, random_bytes(7, 4))
    yield made
    alice.delete_volume(made.id)


@pytest.fixture
def admin(cloud):
    return cloud.session("admin")


@pytest.fixture
def role(cloud, alice, admin) -> Iterator[str]:
    """The URL of alice's role in her project. She has it again at the end."""
    url = member_role(cloud, admin, alice.session)
    yield url
    admin.put(url)


def _schedule(alice: Tenant, plan: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """An operation that is due every minute."""
    start = f"{datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1):%Y-%m-%d %H:%M:%S}"
    timing = {"format": "crontab", "pattern": "* * * * *", "start_time": start, "window": 30}
    trigger = {"trigger_info": {"name": "every minute", "type": "time", "properties": timing}}
    definition = {"provider_id": plan["provider_id"], "plan_id": plan["id"], **rules}
    operation = {
        "name": "by itself",
        "operation_type": "retention_protect",
        "trigger_id": alice.call("POST", "/triggers", trigger)["trigger_info"]["id"],
        "operation_definition": definition,
    }
    return alice.call("POST", "/scheduled_operations", {"scheduled_operation": operation})["scheduled_operation"]


def _available(alice: Tenant, plan: dict[str, Any]) -> list[str]:
    path = f"/providers/{plan['provider_id']}/checkpoints?plan_id={plan['id']}&status=available"
    return [checkpoint["id"] for checkpoint in alice.call("GET", path)["checkpoints"]]


def _logged(alice: Tenant, operation: dict[str, Any]) -> list[dict[str, Any]]:
    found = alice.call("GET", "/operation_logs")["operation_logs"]
    return [entry for entry in found if entry["scheduled_operation_id"] == operation["id"]]


def _trusts(cloud, alice: Tenant) -> set[str]:
    keystone = cloud.auth_url.removesuffix("/v3") + "/v3"
    url = f"{keystone}/OS-TRUST/trusts?trustor_user_id={alice.session.get_user_id()}"
    return {trust["id"] for trust in alice.session.get(url).json()["trusts"]}


def _forget(alice: Tenant, operation: dict[str, Any]) -> None:
    alice.call("DELETE", f"/scheduled_operations/{operation['id']}")
    alice.call("DELETE", f"/triggers/{operation['trigger_id']}")


@pytest.mark.timeout(1800)
def test_it_runs_by_itself_keeps_one_and_stops_clearly_when_the_role_is_revoked(
    cloud, alice, admin, volume, system, role
):
    plan = alice.plan(system.provider, (VOLUME, volume))
    # A cloud that lives long may hold trusts of systems that were killed.
    before = _trusts(cloud, alice)
    operation = _schedule(alice, plan, max_backups=1)
    assert len(_trusts(cloud, alice) - before) == 1
    # Whatever happens from here on, no token of hers is used for it: hers are gone.
    alice.session.invalidate()

    first = until(lambda: _available(alice, plan), lambda found: found)[0]
    until(lambda: _available(alice, plan), lambda found: found and first not in found)
    done = until(
        lambda: [one for one in _logged(alice, operation) if one["status"] == "available"],
        lambda found: len(found) >= RUNS,
    )
    assert len({entry["checkpoint_id"] for entry in done}) == len(done)
    assert until(lambda: _available(alice, plan), lambda found: len(found) == 1)
    dry = alice.call("GET", f"/scheduled_operations/{operation['id']}/retention")["retention"]
    assert dry["rules"] == {"max_backups": 1}
    assert len(dry["checkpoints"]) >= 1

    admin.delete(role)
    path = f"/scheduled_operations/{operation['id']}"
    # She cannot ask herself any more.
    watcher = Tenant(cloud, "admin")
    found = until(lambda: watcher.call("GET", path)["scheduled_operation"], lambda one: not one["enabled"])
    assert "trust" in found["disabled_reason"]
    admin.put(role)
    alice.session.invalidate()
    failed = [entry for entry in _logged(alice, operation) if (entry["error_info"] or "").startswith("failed: ")]
    assert any(found["disabled_reason"] in entry["error_info"] for entry in failed)

    body = {"scheduled_operation": {"enabled": True}}
    assert alice.call("PUT", path, body)["scheduled_operation"]["enabled"]
    assert len(_trusts(cloud, alice) - before) == 1
    _forget(alice, operation)
    assert _trusts(cloud, alice) <= before


@pytest.mark.timeout(1800)
def test_what_is_bound_together_cannot_be_torn_apart(alice, volume, system):
    plan = alice.plan(system.noop_provider, (VOLUME, volume))
    operation = _schedule(alice, plan, daily=7, weekly=4)
    for path in (f"/plans/{plan['id']}", f"/triggers/{operation['trigger_id']}"):
        status, message = alice.refused("DELETE", path)
        assert status in (409, 424)
        assert "by itself" in message
    _forget(alice, operation)
    alice.call("DELETE", f"/plans/{plan['id']}")
