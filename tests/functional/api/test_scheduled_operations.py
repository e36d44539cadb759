"""Scheduled operations beyond their rows: trusts, switching them off and on, what retention would do."""

import datetime

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.db import checkpoints, scheduled_runs, trusts
from karbor_like.db.models import ScheduledRun
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.domain import states
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, PROJECT_B, token
from tests.fixtures.fake_catalogue import PROVIDER, VOLUME


@pytest.fixture
def plan(alice):
    return alice.post("/plans", bodies.plan())["plan"]


@pytest.fixture
def trigger(alice):
    return alice.post("/triggers", bodies.trigger())["trigger_info"]


def _create(alice, trigger, plan, **changes):
    body = bodies.scheduled_operation(trigger["id"], plan["id"], **changes)
    return alice.post("/scheduled_operations", body)["scheduled_operation"]


@pytest.fixture
def operation(alice, trigger, plan):
    return _create(alice, trigger, plan)


def _path(operation):
    return f"/scheduled_operations/{operation['id']}"


def _switch(who, operation, enabled, **kwargs):
    return who.put(_path(operation), {"scheduled_operation": {"enabled": enabled}}, **kwargs)


def test_a_trust_is_made_in_the_name_of_the_caller(operation, engine):
    assert operation["enabled"] is True
    assert engine.calls == [("make_trust", {"scheduled_operation_id": operation["id"]})]
    assert engine.owners() == [("user-member", PROJECT_A)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(exception.NotAuthorized("no"), 403), (exception.Unavailable("no engine answered"), 503), (KeyError("bug"), 500)],
)
def test_without_a_trust_there_is_no_operation(alice, trigger, plan, engine, error, status):
    engine.broken["make_trust"] = error
    alice.post("/scheduled_operations", bodies.scheduled_operation(trigger["id"], plan["id"]), status=status)
    assert alice.get("/scheduled_operations") == {"operations": []}
    alice.delete(f"/triggers/{trigger['id']}")


def test_a_deleted_operation_gives_the_trust_back_even_where_no_engine_answers(
    alice, admin, trigger, plan, engine, database
):
    first, second = (_create(alice, trigger, plan) for _ in range(2))
    engine.calls.clear()
    admin.delete(_path(first))
    engine.broken["delete_trust"] = exception.Unavailable("no engine answered")
    alice.delete(_path(second))
    assert [name for name, _ in engine.calls] == ["delete_trust"] * 2
    # The engine will find the trust of the second one.
    with database.reader() as session:
        (released,) = trusts.due(session, 10)
    assert engine.calls[-1] == ("delete_trust", {"trust_id": released.id})
    assert alice.get("/scheduled_operations") == {"operations": []}


def test_switched_off_and_on(alice, operation, engine, database):
    engine.calls.clear()
    assert _switch(alice, operation, False)["scheduled_operation"] == {**operation, "enabled": False}
    assert engine.calls == []
    values = {"disabled_reason": "the trust was deleted"}
    database.write(lambda session: SCHEDULED_OPERATIONS.update(session, operation["id"], values))
    assert alice.get(_path(operation))["scheduled_operation"]["disabled_reason"] == "the trust was deleted"
    assert _switch(alice, operation, True)["scheduled_operation"] == operation
    assert [name for name, _ in engine.calls] == ["make_trust"]


def test_it_stays_off_where_no_trust_can_be_made(alice, operation, engine):
    _switch(alice, operation, False)
    engine.refused_tokens.add(token("member"))
    answer = _switch(alice, operation, True, status=403)
    assert answer["forbidden"]["type"] == "trust.refused"
    assert alice.get(_path(operation))["scheduled_operation"]["enabled"] is False


def test_nobody_enables_what_acts_in_the_name_of_another(alice, admin, operation):
    _switch(admin, operation, False)
    answer = _switch(admin, operation, True, status=403)
    assert "user-member" in answer["forbidden"]["message"]
    assert alice.get(_path(operation))["scheduled_operation"]["enabled"] is False


def _changes(plan, trigger):
    """Return the requests that change what a scheduled operation does: path and body."""
    resources = [{"id": bodies.UNKNOWN_ID, "type": VOLUME, "name": "another"}]
    properties = {**trigger["properties"], "pattern": bodies.DAILY.replace("BYHOUR=1", "BYHOUR=2")}
    return [
        (f"/plans/{plan['id']}", {"plan": {"resources": resources}}),
        (f"/triggers/{trigger['id']}", {"trigger_info": {"properties": properties}}),
    ]


@pytest.mark.parametrize(
    ("role", "delegation"), [("member", "trust"), ("member", "restricted"), ("admin", "trust"), ("other", "")]
)
def test_what_an_operation_does_is_not_changed_with_less_than_its_authority(
    client, database, alice, plan, trigger, operation, role, delegation
):
    if role == "other":
        values = {"user_id": "another member"}
        database.write(lambda session: SCHEDULED_OPERATIONS.update(session, operation["id"], values))
    caller = client("admin" if role == "admin" else "member", PROJECT_A, delegation)
    for path, body in _changes(plan, trigger):
        answer = caller.put(path, body, status=403)
        assert operation["id"] in answer["forbidden"]["message"]
        (content,) = body.values()
        (name,) = content
        same = alice.get(path).popitem()[1][name]
        for harmless in ({"name": "renamed"}, {name: same}):
            caller.put(path, {next(iter(body)): harmless})
    # They may stop it. Then a change does nothing until its user enables it.
    _switch(caller, operation, False)
    for path, body in _changes(plan, trigger):
        caller.put(path, body)


@pytest.mark.parametrize(("role", "delegation"), [("member", ""), ("member", "unrestricted"), ("admin", "")])
def test_what_an_operation_does_is_changed_by_its_user_and_administrators(
    client, plan, trigger, operation, role, delegation
):
    for path, body in _changes(plan, trigger):
        client(role, PROJECT_A, delegation).put(path, body)


@pytest.mark.parametrize("change", [{}, {"enabled": None}, {"enabled": "false"}, {"enabled": 1}, {"name": "x"}])
def test_switches_that_are_none(alice, operation, change):
    alice.put(_path(operation), {"scheduled_operation": change}, status=400)
    alice.put(_path(operation), {"scheduled_operation": {"enabled": True, **change, "x": 1}}, status=400)
    shown = alice.get(_path(operation))["scheduled_operation"]
    assert {**shown, **operation} == shown


@pytest.mark.parametrize(
    "name", ["max_backups", "retention_duration", "hourly", "daily", "weekly", "monthly", "yearly"]
)
@pytest.mark.parametrize("value", [0, -1, "0", "-3", "00", "", "many", "1.5", True, None, 10**12])
def test_retention_counts_that_are_none(alice, trigger, plan, name, value):
    definition = {"provider_id": PROVIDER, "plan_id": plan["id"], name: value}
    body = bodies.scheduled_operation(trigger["id"], plan["id"], operation_definition=definition)
    answer = alice.post("/scheduled_operations", body, status=400)
    assert f"operation_definition.{name}" in answer["badRequest"]["message"]
    assert alice.get("/scheduled_operations") == {"operations": []}


def test_a_definition_as_text_is_checked_in_the_same_way(alice, trigger, plan):
    text = f"provider_id={PROVIDER},plan_id={plan['id']},max_backups=0"
    body = bodies.scheduled_operation(trigger["id"], plan["id"], operation_definition=text)
    assert "max_backups" in alice.post("/scheduled_operations", body, status=400)["badRequest"]["message"]


@pytest.fixture
def copies(alice, plan, protection, database, clock):
    """Five available checkpoints of the plan, a day apart, newest first; and one that failed."""

    def make(days, status):
        path = f"/providers/{PROVIDER}/checkpoints"
        made = alice.post(path, bodies.checkpoint(plan["id"]))["checkpoint"]["id"]
        protection.set_status(made, status)
        when = clock.now() - datetime.timedelta(days=days)
        database.write(lambda session: checkpoints.CHECKPOINTS.update(session, made, {"created_at": when}))
        return made

    make(0, states.ERROR)
    return [make(days, states.AVAILABLE) for days in range(5)]


def _decisions(who, operation):
    return who.get(f"{_path(operation)}/retention")["retention"]["checkpoints"]


def test_what_retention_would_delete_and_why(alice, trigger, plan, copies, protection):
    operation = _create(alice, trigger, plan)
    found = _decisions(alice, operation)
    assert [one["id"] for one in found] == copies
    assert [one["delete"] for one in found] == [False, False, False, True, True]
    assert found[0]["reason"] == "within max_backups 3"
    assert found[4]["reason"] == "no rule keeps it (max_backups 3)"
    assert datetime.datetime.fromisoformat(found[0]["timestamp"]).utcoffset() == datetime.timedelta(0)
    assert not [call for call in protection.calls if call[0] == "delete_checkpoint"]


def test_a_copy_of_a_checkpoint_plays_no_part(alice, trigger, plan, copies, database):
    values = {"extra_info": {"created_by": "copy", "source_checkpoint_id": copies[0]}}
    database.write(lambda session: checkpoints.CHECKPOINTS.update(session, copies[1], values))
    found = _decisions(alice, _create(alice, trigger, plan))
    assert [one["id"] for one in found] == [copies[0], *copies[2:]]
    assert [one["delete"] for one in found] == [False, False, False, True]


def test_what_is_in_use_would_stay(alice, trigger, plan, copies):
    operation = _create(alice, trigger, plan)
    alice.post("/restores", bodies.restore(copies[4]))
    found = _decisions(alice, operation)
    assert [one["delete"] for one in found] == [False, False, False, True, False]
    assert found[4]["reason"] == "it is in use: restore is running"


def test_the_last_one_would_stay(alice, trigger, plan, copies, clock):
    definition = {"provider_id": PROVIDER, "plan_id": plan["id"], "retention_duration": 2}
    operation = _create(alice, trigger, plan, operation_definition=definition)
    clock.advance(30 * 86400)
    found = _decisions(alice, operation)
    assert [one["delete"] for one in found] == [False, True, True, True, True]
    assert "last available" in found[0]["reason"]


def test_without_rules_nothing_would_be_deleted(alice, trigger, plan, copies):
    definition = {"provider_id": PROVIDER, "plan_id": plan["id"], "max_backups": 1}
    operation = _create(alice, trigger, plan, operation_type="protect", operation_definition=definition)
    answer = alice.get(f"{_path(operation)}/retention")["retention"]
    assert answer["rules"] == {}
    assert not any(one["delete"] for one in answer["checkpoints"])


def test_a_dry_run_is_for_the_project_alone(alice, bob, client, operation):
    bob.get(f"{_path(operation)}/retention", status=404)
    client("admin", PROJECT_B).get(f"{_path(operation)}/retention")


def _run(who, operation, **kwargs):
    answer = who.post(f"{_path(operation)}/action", {"run": {}}, **kwargs)
    return answer["run"] if kwargs.get("status", 200) == 200 else answer


def _end_runs(database):
    values = {"state": scheduled_runs.SUCCEEDED, "next_look_at": None}
    database.write(lambda session: session.execute(sa.update(ScheduledRun).values(values)))


def test_a_run_is_recorded_as_due_at_once_for_the_engines(alice, operation, database, clock):
    run = _run(alice, operation)
    assert run == {
        "id": run["id"],
        "scheduled_operation_id": operation["id"],
        "status": "started",
        "reason": None,
        "due_at": "2030-01-01T00:00:00.000000",
        "checkpoint_id": None,
    }
    with database.reader() as session:
        assert scheduled_runs.has_pending(session, clock.now())
        row = scheduled_runs.RUNS.get(session, run["id"])
    assert (row.project_id, row.window_ends_at - row.due_at) == (PROJECT_A, datetime.timedelta(seconds=900))
    assert alice.get("/operation_logs")["operation_logs"] == []


def test_a_run_has_the_window_of_the_trigger(alice, plan, database):
    trigger = alice.post("/triggers", bodies.trigger({"window": 1200}))["trigger_info"]
    run = _run(alice, _create(alice, trigger, plan))
    with database.reader() as session:
        row = scheduled_runs.RUNS.get(session, run["id"])
    assert row.window_ends_at - row.due_at == datetime.timedelta(seconds=1200)


def test_a_run_while_another_one_has_not_ended_is_skipped_and_logged(alice, operation, database):
    _run(alice, operation)
    skipped = _run(alice, operation)
    assert skipped["status"] == "skipped"
    assert skipped["reason"] == "the run that was due at 2030-01-01T00:00:00+00:00 has not ended"
    (entry,) = alice.get("/operation_logs")["operation_logs"]
    assert entry["scheduled_operation_id"] == operation["id"]
    assert entry["error_info"] == f"skipped: {skipped['reason']}"
    _end_runs(database)
    assert _run(alice, operation)["status"] == "started"


def test_a_repeated_request_starts_no_second_run(alice, operation, database):
    headers = {"Idempotency-Key": "once"}
    run = _run(alice, operation, headers=headers)
    assert _run(alice, operation, headers=headers) == run
    _end_runs(database)
    _switch(alice, operation, False)
    assert _run(alice, operation, headers=headers) == {**run, "status": "succeeded"}
    with database.reader() as session:
        assert scheduled_runs.RUNS.count(session) == 1
    other = alice.post(f"{_path(operation)}x/action", {"run": {}}, headers=headers, status=400)
    assert "scheduled_operation_id" in other["badRequest"]["message"]


def test_what_is_disabled_does_not_run(alice, operation, database):
    _switch(alice, operation, False)
    answer = _run(alice, operation, status=409)
    assert answer["conflictingRequest"]["message"].endswith("is disabled; enable it first")
    assert answer["conflictingRequest"]["type"] == "object.wrong_state"
    with database.reader() as session:
        assert scheduled_runs.RUNS.count(session) == 0


@pytest.mark.parametrize("body", [{}, {"run": None}, {"run": {"now": True}}, {"start": {}}, {"run": {}, "copy": {}}])
def test_actions_that_are_none(alice, operation, body):
    alice.post(f"{_path(operation)}/action", body, status=400)


def test_an_operation_runs_although_this_process_cannot_evaluate_its_trigger(alice, operation, trigger, database):
    values = {"type": "removed"}
    database.write(lambda session: TRIGGERS.update(session, trigger["id"], values))
    assert _run(alice, operation)["status"] == "started"
    assert alice.get(_path(operation))["scheduled_operation"]["next_runs"] is None


def test_next_runs_are_those_of_the_trigger_while_it_is_enabled(alice, operation):
    times = [f"2030-01-0{day}T01:00:00.000000" for day in range(1, 6)]
    assert alice.get(_path(operation))["scheduled_operation"] == {**operation, "next_runs": times}
    assert [one["next_runs"] for one in alice.get("/scheduled_operations")["operations"]] == [times]
    _switch(alice, operation, False)
    assert alice.get(_path(operation))["scheduled_operation"]["next_runs"] == []
    assert [one["next_runs"] for one in alice.get("/scheduled_operations")["operations"]] == [[]]


def test_any_number_of_operations_is_listed_by_the_same_queries(alice, trigger, plan, database):
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda conn, cursor, text, *rest: statements.append(text))
    counts = []
    for _ in range(3):
        _create(alice, trigger, plan)
        statements.clear()
        alice.get("/scheduled_operations")
        counts.append(len(statements))
    assert counts == [counts[0]] * 3
