"""What the health checks say, without a token and with one, about reports of services."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
import webtest

from karbor_like.db import migration, operations, services
from karbor_like.db import session as db_session
from karbor_like.db.models import Operation, Service
from tests.fixtures.fake_catalogue import PROVIDER

BANK = {"id": PROVIDER, "name": "tapes", "bank": "reachable", "reason": None}
GOOD = {"hung": [], "providers": [BANK]}
HUNG = {**GOOD, "hung": [{"name": "the poll for operations", "seconds": 400}]}


@pytest.fixture
def beat(database):
    """A function that sends a heartbeat with a report."""

    def send(report=GOOD, binary="protection", host="node1", process="process 1", age=0):
        def write(session):
            row = services.beat(session, f"karbor-{binary}", host, process, report)
            row.updated_at -= timedelta(seconds=age)

        database.write(write)

    return send


@pytest.fixture
def check(application):
    """A function that returns the status and the text of the check without a token."""

    def ask():
        answer = webtest.TestApp(application).get("/healthcheck", expect_errors=True)
        return answer.status_int, answer.text

    return ask


def test_all_is_well(admin, beat, check):
    beat()
    beat({"hung": []}, "operationengine")
    health = admin.get("/health")["health"]
    assert (health["healthy"], health["problems"]) == (True, [])
    assert health["schema"] == {"version": migration.head(), "expected": migration.head(), "state": "matches"}
    assert [(one["binary"], one["state"]) for one in health["services"]] == [
        ("karbor-protection", "up"),
        ("karbor-operationengine", "up"),
    ]
    assert health["providers"] == [
        {
            "host": "node1",
            "process": "process 1",
            "provider_id": PROVIDER,
            "provider_name": "tapes",
            "bank": "reachable",
            "reason": None,
        }
    ]
    assert check()[0] == 200


def test_threads_that_hang_are_in_the_list_of_services_and_in_both_checks(admin, beat, check):
    beat(HUNG)
    (listed,) = admin.get("/os-services")["services"]
    assert listed["state"] == "down"
    assert listed["state_reason"] == "the poll for operations has made no progress for 400 seconds (process 1)"
    health = admin.get("/health")["health"]
    assert health["services"][0]["processes"][0]["hung_threads"] == HUNG["hung"]
    assert any("karbor-protection on node1: the poll for operations" in problem for problem in health["problems"])
    status, text = check()
    assert status == 503
    assert "protection: threads of every service hang" in text


def test_one_of_two_services_that_works_is_enough_for_load_balancers(admin, beat, check):
    beat(HUNG)
    beat(host="node2")
    assert check()[0] == 200
    assert not admin.get("/health")["health"]["healthy"]


def test_services_without_a_provider(admin, beat, check):
    beat({"hung": [], "providers": []})
    assert "no karbor-protection has loaded a provider" in admin.get("/health")["health"]["problems"]
    status, text = check()
    assert (status, "no provider is loaded" in text) == (503, True)


def test_a_service_of_an_earlier_release_reports_nothing(beat, check):
    beat({"hung": []})
    assert check()[0] == 200


def test_services_that_are_down(admin, beat, check):
    beat(age=1000)
    health = admin.get("/health")["health"]
    assert {"no karbor-protection works", "no karbor-operationengine works"} <= set(health["problems"])
    assert health["providers"] == [], "what was reported long ago is not true now"
    status, text = check()
    assert (status, "no service has sent a heartbeat" in text) == (503, True)


def test_a_bank_that_is_unreachable(admin, beat, check):
    beat({"hung": [], "providers": [{**BANK, "bank": "unreachable", "reason": "connection refused"}]})
    problems = admin.get("/health")["health"]["problems"]
    assert "the bank of provider tapes is unreachable from node1: connection refused" in problems
    assert check()[0] == 200, "other providers and all reads work"


@pytest.mark.parametrize(("version", "state"), [("0003", "older"), ("9999", "newer")])
def test_a_database_of_another_release(admin, beat, check, database, version, state):
    beat()
    table = sa.table(migration.VERSION_TABLE, sa.column("version_num"))
    database.write(lambda session: session.execute(sa.update(table).values(version_num=version)))
    schema = admin.get("/health")["health"]["schema"]
    assert schema == {"version": version, "expected": migration.head(), "state": state}
    status, text = check()
    if state == "newer":
        assert status == 200, "other hosts are being upgraded, and this process works until it is its turn"
    else:
        assert (status, f"schema version {version}" in text) == (503, True)


def test_queues(admin, database):
    def add(session):
        now = db_session.now(session)
        common = {"operation_type": "protect", "project_id": "p", "provider_id": PROVIDER, "status": "protecting"}
        for state, lease, age in (
            (operations.QUEUED, None, 100),
            (operations.QUEUED, None, 50),
            (operations.RUNNING, 60, 500),
            (operations.RUNNING, -10, 500),
            (operations.DONE, None, 900),
        ):
            lease_until = now + timedelta(seconds=lease) if lease else None
            created = now - timedelta(seconds=age)
            row = Operation(
                id=str(uuid.uuid4()), queue_state=state, lease_until=lease_until, created_at=created, **common
            )
            session.add(row)

    database.write(add)
    queues = {queue["name"]: queue for queue in admin.get("/health")["health"]["queues"]}
    assert (queues["operations"]["waiting"], queues["operations"]["running"]) == (3, 1)
    assert 100 <= queues["operations"]["oldest_seconds"] < 200
    assert queues["scheduled_runs"] == {"name": "scheduled_runs", "waiting": 0, "running": 0, "oldest_seconds": None}


def test_reports_of_processes_that_ended_are_removed(beat, database):
    def processes():
        with database.reader() as session:
            return sorted(session.execute(sa.select(Service)).scalar_one().reports)

    beat(process="process 1")
    beat(process="process 2")
    assert processes() == ["process 1", "process 2"]
    database.write(lambda session: services.leave(session, "karbor-protection", "node1", "process 2"))
    assert processes() == ["process 1"]
    database.write(lambda session: services.beat(session, "karbor-protection", "node1", "process 3", {}, keep=-1))
    assert processes() == ["process 3"]
