"""Triggers and the scheduled operations bound to them."""

import dataclasses
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like.api import app
from karbor_like.db.models import Trigger
from karbor_like.db.triggers import TRIGGERS
from karbor_like.triggers import contract, loader
from karbor_like.triggers.time import TimeTrigger
from tests.fixtures import bodies
from tests.fixtures.api import Client, check_tokens, token
from tests.fixtures.bodies import DAILY, UNKNOWN_ID
from tests.fixtures.fake_catalogue import OTHER_PROVIDER, PROVIDER


@pytest.fixture
def trigger(alice):
    return alice.post("/triggers", bodies.trigger())["trigger_info"]


@pytest.fixture
def plan(alice):
    return alice.post("/plans", bodies.plan())["plan"]


@pytest.fixture
def operation(alice, trigger, plan):
    return alice.post("/scheduled_operations", bodies.scheduled_operation(trigger["id"], plan["id"]))[
        "scheduled_operation"
    ]


def test_a_trigger_shows_what_was_asked_as_texts(alice):
    asked = {"window": 1000, "end_time": "2031-01-01 00:00:00"}
    made = alice.post("/triggers", bodies.trigger(asked))["trigger_info"]
    assert made == {
        "id": made["id"],
        "name": "nightly",
        "type": "time",
        "properties": {
            "format": "calendar",
            "pattern": DAILY,
            "start_time": "2030-01-01 00:00:00",
            "end_time": "2031-01-01 00:00:00",
            "window": "1000",
        },
    }
    shown = alice.get(f"/triggers/{made['id']}")["trigger_info"]
    assert shown == {**made, "next_runs": [f"2030-01-0{day}T01:00:00.000000" for day in range(1, 6)]}
    assert alice.get("/triggers") == {"triggers": [shown]}


def test_a_trigger_that_ends_has_fewer_next_runs(alice, clock, database):
    made = alice.post("/triggers", bodies.trigger({"end_time": "2030-01-02 12:00:00"}))["trigger_info"]
    path = f"/triggers/{made['id']}"
    assert len(alice.get(path)["trigger_info"]["next_runs"]) == 2
    clock.advance(24 * 3600)
    assert alice.get(path)["trigger_info"]["next_runs"] == ["2030-01-02T01:00:00.000000"]
    clock.advance(24 * 3600)
    assert alice.get(path)["trigger_info"]["next_runs"] == []
    database.write(lambda session: TRIGGERS.update(session, made["id"], {"next_run_at": None}))
    assert alice.get(path)["trigger_info"]["next_runs"] == []


def test_the_next_runs_of_a_trigger_that_this_process_cannot_evaluate_are_unknown(alice, database, trigger):
    for values in ({"type": "removed"}, {"type": "time", "properties": {"format": "removed", "pattern": "x"}}):
        database.write(lambda session, values=values: TRIGGERS.update(session, trigger["id"], values))
        assert alice.get(f"/triggers/{trigger['id']}")["trigger_info"]["next_runs"] is None
        assert [one["next_runs"] for one in alice.get("/triggers")["triggers"]] == [None]


def test_the_first_run_is_written_down(alice, database, trigger):
    with database.reader() as session:
        due = TRIGGERS.get(session, trigger["id"]).next_run_at
    assert due.isoformat() == "2030-01-01T01:00:00+00:00"
    alice.put(
        f"/triggers/{trigger['id']}",
        {
            "trigger_info": {
                "properties": {"format": "crontab", "pattern": "0 2 * * *", "start_time": "2030-01-01 00:00:00"}
            }
        },
    )
    with database.reader() as session:
        assert TRIGGERS.get(session, trigger["id"]).next_run_at.isoformat() == "2030-01-01T02:00:00+00:00"


def test_a_run_that_is_due_is_not_lost_by_a_change(alice, database, clock, trigger):
    """A due run stays due until an engine polls, which then continues with the new properties."""
    path = f"/triggers/{trigger['id']}"
    properties = {"format": "crontab", "pattern": "0 5 * * *", "start_time": "2030-01-01 00:00:00"}
    clock.advance(7200)
    alice.put(path, {"trigger_info": {"properties": properties}})
    with database.reader() as session:
        row = TRIGGERS.get(session, trigger["id"])
    assert (row.next_run_at.isoformat(), row.properties["pattern"]) == ("2030-01-01T01:00:00+00:00", "0 5 * * *")
    timing = contract.of_type(loader.trigger_types(), "time").parse({**row.properties, "window": 900})
    assert timing.next(row.next_run_at).isoformat() == "2030-01-01T05:00:00+00:00"


def test_a_change_that_is_attempted_again_is_not_half_applied(alice, database, clock, trigger):
    """The engine fires the due run between two attempts: the second one must change the next run as well."""
    properties = {"format": "crontab", "pattern": "0 5 * * *", "start_time": "2030-01-01 00:00:00"}
    attempts = []

    def begin(session, transaction, connection):
        attempts.append(connection)
        if len(attempts) == 3:
            fired = {"next_run_at": datetime(2030, 1, 2, 1, tzinfo=UTC)}
            connection.execute(sa.update(Trigger).where(Trigger.id == trigger["id"]).values(fired))

    def flush(session, context, instances):
        if len(attempts) == 2:
            raise db_exception.DBDeadlock

    clock.advance(7200)
    sa.event.listen(orm.Session, "after_begin", begin)
    sa.event.listen(orm.Session, "before_flush", flush)
    try:
        alice.put(f"/triggers/{trigger['id']}", {"trigger_info": {"properties": properties}})
    finally:
        sa.event.remove(orm.Session, "after_begin", begin)
        sa.event.remove(orm.Session, "before_flush", flush)
    # One transaction reads the type of the trigger.
    assert len(attempts) == 3
    with database.reader() as session:
        assert TRIGGERS.get(session, trigger["id"]).next_run_at.isoformat() == "2030-01-01T05:00:00+00:00"


def test_formats_are_the_triggers_own(alice):
    crontab = {"format": "crontab", "pattern": "30 2 * * 0", "timezone": "Europe/Madrid"}
    made = alice.post("/triggers", bodies.trigger(crontab))["trigger_info"]
    assert made["properties"]["timezone"] == "Europe/Madrid"
    escaped = {"pattern": DAILY.replace("\n", "\\n")}
    assert (
        alice.post("/triggers", bodies.trigger(escaped))["trigger_info"]["properties"]["pattern"] == escaped["pattern"]
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"format": "event"},
        {"format": None},
        {"format": "crontab"},
        {"pattern": ""},
        {"pattern": None},
        {"pattern": "0 1 * * *"},
        {"pattern": "BEGIN:VEVENT\nEND:VEVENT"},
        {"pattern": "BEGIN:VEVENT\nRRULE:FREQ=MINUTELY;INTERVAL=5\nEND:VEVENT"},
        {"pattern": "BEGIN:VEVENT\nRRULE:FREQ=DAILY;UNTIL=20200101T000000Z\nEND:VEVENT"},
        {"pattern": "x" * 5000},
        {"format": "crontab", "pattern": "@daily"},
        {"start_time": "2030-05-06T07:08:09"},
        {"start_time": "2030-02-30 00:00:00"},
        {"start_time": 5},
        {"end_time": "2029-01-01 00:00:00"},
        {"end_time": ""},
        {"window": "1000"},
        {"window": 899},
        {"window": 1801},
        {"window": 900.0},
        {"window": None},
        {"window": 10**30},
        {"timezone": "Mars/Olympus"},
        {"junk": 1},
    ],
)
def test_properties_that_are_none(alice, trigger, properties):
    alice.post("/triggers", bodies.trigger(properties), status=400)
    full = {**trigger["properties"], "window": 900, **properties}
    alice.put(f"/triggers/{trigger['id']}", {"trigger_info": {"properties": full}}, status=400)
    (listed,) = alice.get("/triggers")["triggers"]
    assert {**listed, **trigger} == listed


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"name": "x" * 256},
        {"type": "event"},
        {"type": None},
        {"properties": None},
        {"x": 1},
    ],
)
def test_triggers_that_are_none(alice, change):
    alice.post("/triggers", bodies.trigger(**change), status=400)


def test_renaming(alice, trigger):
    path = f"/triggers/{trigger['id']}"
    renamed = {**trigger, "name": "daily"}
    assert alice.put(path, {"trigger_info": {"name": "daily", "properties": {}}})["trigger_info"] == renamed
    assert alice.put(path, {"trigger_info": {"type": "anything"}})["trigger_info"] == renamed
    assert alice.put(path, {"trigger_info": {}})["trigger_info"] == renamed
    alice.put(path, {"trigger_info": {"name": "x" * 256}}, status=400)
    alice.put(path, {"trigger_info": {"id": "x"}}, status=400)


@pytest.mark.parametrize("missing", ["format", "pattern", "start_time"])
def test_new_properties_are_complete(alice, trigger, missing):
    properties = {name: value for name, value in trigger["properties"].items() if name != missing}
    answer = alice.put(f"/triggers/{trigger['id']}", {"trigger_info": {"properties": properties}}, status=400)
    assert missing in answer["badRequest"]["message"]


def test_a_trigger_in_use_stays(alice, trigger, operation):
    answer = alice.delete(f"/triggers/{trigger['id']}", status=424)
    assert "nightly web" in answer["computeFault"]["message"]
    alice.delete(f"/scheduled_operations/{operation['id']}")
    alice.delete(f"/triggers/{trigger['id']}")
    alice.get(f"/triggers/{trigger['id']}", status=404)


def test_a_scheduled_operation_shows_what_was_asked_as_texts(alice, trigger, plan):
    definition = {"provider_id": PROVIDER, "plan_id": plan["id"], "max_backups": 3, "retention_duration": "14"}
    body = bodies.scheduled_operation(trigger["id"], plan["id"], operation_definition=definition, description="d")
    made = alice.post("/scheduled_operations", body)["scheduled_operation"]
    assert made == {
        "id": made["id"],
        "name": "nightly web",
        "description": "d",
        "operation_type": "retention_protect",
        "trigger_id": trigger["id"],
        "operation_definition": {**definition, "max_backups": "3"},
        "enabled": True,
        "disabled_reason": None,
    }
    shown = alice.get(f"/scheduled_operations/{made['id']}")["scheduled_operation"]
    assert {**shown, **made} == shown
    assert alice.get("/scheduled_operations") == {"operations": [shown]}


def test_a_definition_may_come_as_one_text(alice, trigger, plan):
    definition = f"provider_id={PROVIDER},plan_id={plan['id']},max_backups=3"
    body = bodies.scheduled_operation(trigger["id"], plan["id"], operation_definition=definition)
    made = alice.post("/scheduled_operations", body)["scheduled_operation"]
    assert made["operation_definition"] == {"provider_id": PROVIDER, "plan_id": plan["id"], "max_backups": "3"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": None}, 400),
        ({"name": " "}, 400),
        ({"description": "a\nb"}, 400),
        ({"operation_type": "delete"}, 400),
        ({"trigger_id": "x"}, 400),
        ({"trigger_id": UNKNOWN_ID}, 404),
        ({"operation_definition": None}, 400),
        ({"operation_definition": "nonsense"}, 400),
        ({"operation_definition": {}}, 400),
        ({"operation_definition": {"provider_id": PROVIDER}}, 400),
        ({"operation_definition": {"provider_id": PROVIDER, "plan_id": None}}, 400),
        ({"operation_definition": {"provider_id": PROVIDER, "plan_id": UNKNOWN_ID}}, 400),
        ({"enabled": False}, 400),
    ],
)
def test_scheduled_operations_that_are_none(alice, trigger, plan, change, status):
    body = bodies.scheduled_operation(trigger["id"], plan["id"])
    body["scheduled_operation"].update(change)
    alice.post("/scheduled_operations", body, status=status)
    assert alice.get("/scheduled_operations") == {"operations": []}


@pytest.mark.parametrize(
    "change",
    [
        {"provider_id": OTHER_PROVIDER},
        {"max_backups": "many"},
        {"retention_duration": 10**12},
        {"retention_duration": 36501},
        {"x": None},
        {"foo": 1},
        {"max_backup": 3},
    ],
)
def test_definitions_that_are_none(alice, trigger, plan, change):
    definition = {"provider_id": PROVIDER, "plan_id": plan["id"], **change}
    body = bodies.scheduled_operation(trigger["id"], plan["id"], operation_definition=definition)
    answer = alice.post("/scheduled_operations", body, status=400)
    message = answer["badRequest"]["message"]
    assert message.startswith("scheduled_operation.operation_definition")
    assert next(iter(change)) in message.partition("allowed")[0]


def test_other_projects_triggers_and_plans(alice, bob, admin, client, trigger, plan, operation):
    own_trigger = bob.post("/triggers", bodies.trigger())["trigger_info"]
    bob.post("/scheduled_operations", bodies.scheduled_operation(trigger["id"], plan["id"]), status=404)
    bob.post("/scheduled_operations", bodies.scheduled_operation(own_trigger["id"], plan["id"]), status=400)
    admin.post("/scheduled_operations", bodies.scheduled_operation(own_trigger["id"], plan["id"]), status=400)
    for path in (f"/triggers/{trigger['id']}", f"/scheduled_operations/{operation['id']}"):
        bob.get(path, status=404)
        bob.delete(path, status=404)
        client("admin", bob.project).get(path)
    bob.put(f"/triggers/{trigger['id']}", {"trigger_info": {"name": "x"}}, status=404)


def test_filters(alice, bob, admin, trigger, operation, plan):
    def count(who, path, member):
        return len(who.get(path)[member])

    assert count(alice, "/triggers?name=night", "triggers") == 1
    assert count(alice, "/triggers?name=weekly", "triggers") == 0
    assert count(alice, "/triggers?type=time", "triggers") == 1
    assert count(alice, "/triggers?properties=FREQ%3DDAILY", "triggers") == 1
    assert count(bob, "/triggers?all_tenants=1", "triggers") == 0
    assert count(alice, f"/scheduled_operations?trigger_id={trigger['id']}", "operations") == 1
    assert count(alice, "/scheduled_operations?operation_type=protect", "operations") == 0
    assert count(alice, f"/scheduled_operations?operation_definition={plan['id']}", "operations") == 1
    for path in ("/triggers", "/scheduled_operations"):
        bob.get(f"{path}?all_tenants=perhaps", status=400)
        admin.get(f"{path}?all_tenants=perhaps", status=400)


@pytest.mark.parametrize("path", ["/triggers", "/scheduled_operations"])
def test_ids(alice, path):
    for method in ("GET", "DELETE"):
        alice.request(method, f"{path}/nonsense", status=400)
        alice.request(method, f"{path}/{UNKNOWN_ID}", status=404)


def test_pages_of_scheduled_operations_have_their_own_name(alice, operation):
    assert "marker=" in alice.get("/scheduled_operations?limit=1")["operations_links"][0]["href"]


def test_a_list_stops_computing_times_after_a_while(deps, clock, trigger, alice):
    class Slow(TimeTrigger):
        def parse(self, properties):
            clock.advance(0.8)
            return super().parse(properties)

    for _ in range(3):
        alice.post("/triggers", bodies.trigger())
    slow = dataclasses.replace(deps, trigger_types={"time": Slow()})
    caller = Client(app.build(slow, authenticate=check_tokens), token("member"), alice.project)
    known = [one["next_runs"] is not None for one in caller.get("/triggers")["triggers"]]
    assert known == [True, True, False, False]
