"""Schedules run in the name of a user who is not logged in, and stop when the user loses the role."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenario.tenant import VOLUME, Tenant, member_role, random_bytes, until

RUNS = 2


@pytest.fixture
def volume(cloud, alice) -> Iterator[Any]:
    volume = alice.volume("scheduled")
    cloud.write_volume(volume.id, random_bytes(7, 4))
    yield volume
    alice.delete_volume(volume.id)


@pytest.fixture
def admin(cloud):
    return cloud.session("admin")


@pytest.fixture
def role(cloud, alice, admin) -> Iterator[str]:
    """The URL of alice's role in her project. The role is granted again at the end."""
    url = member_role(cloud, admin, alice.session)
    yield url
    admin.put(url)


def _available(alice: Tenant, plan: dict[str, Any]) -> list[str]:
    path = f"/providers/{plan['provider_id']}/checkpoints?plan_id={plan['id']}&status=available"
    return [checkpoint["id"] for checkpoint in alice.call("GET", path)["checkpoints"]]


def _logged(alice: Tenant, operation: dict[str, Any]) -> list[dict[str, Any]]:
    entries = alice.call("GET", "/operation_logs")["operation_logs"]
    return [entry for entry in entries if entry["scheduled_operation_id"] == operation["id"]]


def _keystone(cloud) -> str:
    return cloud.auth_url.removesuffix("/v3") + "/v3"


def _trusts(cloud, alice: Tenant) -> set[str]:
    url = f"{_keystone(cloud)}/OS-TRUST/trusts?trustor_user_id={alice.session.get_user_id()}"
    return {trust["id"] for trust in alice.session.get(url).json()["trusts"]}


def _forget(alice: Tenant, operation: dict[str, Any]) -> None:
    alice.call("DELETE", f"/scheduled_operations/{operation['id']}")
    alice.call("DELETE", f"/triggers/{operation['trigger_id']}")


@pytest.mark.turn(1)
@pytest.mark.timeout(1800)
def test_a_schedule_keeps_one_checkpoint_and_is_disabled_when_the_role_is_revoked(
    cloud, alice, admin, volume, system, role
):
    plan = alice.plan(system.provider, (VOLUME, volume))
    # A cloud that is used several times may have trusts of killed systems.
    before = _trusts(cloud, alice)
    operation = alice.schedule(plan, soon=True, max_backups=1)
    assert len(_trusts(cloud, alice) - before) == 1
    # From here on the schedule depends on its trust: the token that created it is discarded.
    alice.session.invalidate()

    first = until(lambda: _available(alice, plan), lambda ids: ids)[0]
    until(lambda: _available(alice, plan), lambda ids: ids and first not in ids)
    done = until(
        lambda: [entry for entry in _logged(alice, operation) if entry["status"] == "available"],
        lambda entries: len(entries) >= RUNS,
    )
    assert len({entry["checkpoint_id"] for entry in done}) == len(done)
    assert until(lambda: _available(alice, plan), lambda ids: len(ids) == 1)
    dry = alice.call("GET", f"/scheduled_operations/{operation['id']}/retention")["retention"]
    assert dry["rules"] == {"max_backups": 1}
    assert len(dry["checkpoints"]) >= 1

    alice.advance(operation)
    admin.delete(role)
    path = f"/scheduled_operations/{operation['id']}"
    # Alice can no longer get a token, so the administrator watches.
    watcher = Tenant(cloud, "admin")
    disabled = until(
        lambda: watcher.call("GET", path)["scheduled_operation"], lambda operation: not operation["enabled"]
    )
    assert "trust" in disabled["disabled_reason"]
    admin.put(role)
    alice.session.invalidate()
    failed = [entry for entry in _logged(alice, operation) if (entry["error_info"] or "").startswith("failed: ")]
    assert any(disabled["disabled_reason"] in entry["error_info"] for entry in failed)

    body = {"scheduled_operation": {"enabled": True}}
    assert alice.call("PUT", path, body)["scheduled_operation"]["enabled"]
    assert len(_trusts(cloud, alice) - before) == 1
    _forget(alice, operation)
    # The last run may not have ended.
    assert until(lambda: _trusts(cloud, alice) <= before, bool)


@pytest.mark.timeout(1800)
def test_a_run_ends_well_though_its_schedule_was_deleted(cloud, alice, volume, system):
    plan = alice.plan(system.provider, (VOLUME, volume))
    before, belongings = _trusts(cloud, alice), alice.belongings()
    if not cloud.real:
        # Snapshots take long enough for the deletion.
        cloud.settings(job_delay=1.0)
    try:
        operation = alice.schedule(plan)
        path = f"/providers/{plan['provider_id']}/checkpoints?plan_id={plan['id']}"
        (checkpoint,) = until(lambda: alice.call("GET", path)["checkpoints"], bool)
        _forget(alice, operation)
        assert alice.settled(checkpoint)["status"] == "available"
    finally:
        if not cloud.real:
            cloud.settings(job_delay=0.05)
    assert until(lambda: _trusts(cloud, alice) <= before, bool)
    assert until(alice.belongings, lambda found: found == belongings) == belongings


@pytest.mark.timeout(1800)
def test_a_delegate_gets_no_more_authority_by_a_schedule(cloud, alice, volume, system, delegates):
    plan = alice.plan(system.noop_provider, (VOLUME, volume))
    operation = alice.schedule(plan, daily=7)
    path, trigger = f"/scheduled_operations/{operation['id']}", f"/triggers/{operation['trigger_id']}"
    before = _trusts(cloud, alice)
    asked = {name: operation[name] for name in ("operation_type", "trigger_id", "operation_definition")}
    properties = alice.call("GET", trigger)["trigger_info"]["properties"]
    changes = (
        ("POST", "/scheduled_operations", {"scheduled_operation": {**asked, "name": "for ever"}}, "trust"),
        ("PUT", path, {"scheduled_operation": {"enabled": True}}, "trust"),
        ("PUT", trigger, {"trigger_info": {"properties": {**properties, "window": 25}}}, "by itself"),
    )
    for delegate in delegates.values():
        for method, where, body, reason in changes:
            status, message = delegate.refused(method, where, body)
            assert (status, reason in message) == (403, True), message
        listed = delegate.call("GET", "/scheduled_operations")["operations"]
        assert [found["id"] for found in listed] == [operation["id"]]
        # Who may not start anything can still stop it.
        delegate.call("PUT", path, {"scheduled_operation": {"enabled": False}})
        alice.call("PUT", path, {"scheduled_operation": {"enabled": True}})
    # A former trust may still be used by a run.
    assert until(lambda: len(_trusts(cloud, alice)) == len(before), bool)
    _forget(alice, operation)


@pytest.mark.timeout(1800)
def test_plans_and_triggers_that_a_schedule_uses_cannot_be_deleted(alice, volume, system):
    plan = alice.plan(system.noop_provider, (VOLUME, volume))
    operation = alice.schedule(plan, daily=7, weekly=4)
    for path in (f"/plans/{plan['id']}", f"/triggers/{operation['trigger_id']}"):
        status, message = alice.refused("DELETE", path)
        assert status in (409, 424)
        assert "by itself" in message
    _forget(alice, operation)
    alice.call("DELETE", f"/plans/{plan['id']}")
