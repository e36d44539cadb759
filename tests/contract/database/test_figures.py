"""The figures for metrics, read by each database."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from karbor_like import service
from karbor_like.clock import ManualClock
from karbor_like.db import jobs, plans, services
from karbor_like.db import session as db_session
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models.base import new_id
from karbor_like.db.operations import DONE, OPERATIONS, RUNNING
from karbor_like.db.plans import PLANS
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.metrics.figures import Figures

PROVIDER, OTHER = "1" * 36, "2" * 36


class Site:
    """Rows of a site, whose times are given as ages."""

    def __init__(self, database) -> None:
        self.database = database
        self.clock = ManualClock()
        with database.reader() as session:
            self.now = db_session.now(session)
        self.conf = service.known_options()
        self.conf([], default_config_files=[])

    def plan(self, age: float = 0) -> str:
        row = {"project_id": "p", "name": "n", "provider_id": PROVIDER, "resources": [], "parameters": {}}
        return self._insert(PLANS, age, **row)

    def checkpoint(self, plan_id: str, age: float, status: str = "available", provider_id: str = PROVIDER) -> str:
        row = {"project_id": "p", "provider_id": provider_id, "plan_id": plan_id, "status": status}
        row |= {"plan": {}, "resource_graph": "[]", "extra_info": {}}
        return self._insert(CHECKPOINTS, age, **row, logical_bytes=100, new_bytes=10, stored_bytes=5)

    def schedule(self, plan_id: str, age: float, *, enabled: bool = True) -> str:
        trigger = {"project_id": "p", "name": "t", "type": "time", "properties": {}}
        trigger_id = self._insert(TRIGGERS, 0, **trigger, next_run_at=self.clock.now() - timedelta(seconds=age))
        row = {"project_id": "p", "user_id": "u", "name": "s", "operation_type": "protect", "enabled": enabled}
        return self._insert(
            SCHEDULED_OPERATIONS, age, **row, trigger_id=trigger_id, plan_id=plan_id, operation_definition={}
        )

    def operation(self, age: float, *, lease: float | None = None, **values) -> str:
        row = {"operation_type": "protect", "project_id": "p", "provider_id": PROVIDER, "parameters": {}, "status": "x"}
        until = None if lease is None else self.now + timedelta(seconds=lease)
        return self._insert(OPERATIONS, age, **row, lease_until=until, **values)

    def beat(self, binary: str, age: float = 0, **report) -> None:
        def write(session) -> None:
            row = services.beat(session, binary, new_id(), "process 1", {"hung": [], **report})
            row.updated_at = self.now - timedelta(seconds=age)

        self.database.write(write)

    def _insert(self, repository, age: float, **values) -> str:
        values["created_at"] = self.now - timedelta(seconds=age)
        return self.database.write(lambda session: repository.insert(session, id=new_id(), **values)).id

    def figures(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(Figures(self.conf, self.database, self.clock))
        return registry


@pytest.fixture
def site(database) -> Site:
    return Site(database)


def test_an_empty_database_has_figures(site):
    found = site.figures()
    assert found.get_sample_value("karbor_like_up") == 1
    assert found.get_sample_value("karbor_like_scheduler_lag_seconds") == 0
    assert found.get_sample_value("karbor_like_queue_oldest_seconds", {"queue": "operations"}) == 0


def test_queues_leases_and_lag(site):
    site.operation(600)
    site.operation(0, queue_state=RUNNING, lease=600)
    site.operation(0, queue_state=RUNNING, lease=-60)
    site.operation(0, queue_state=DONE, lease=600)
    site.operation(0, queue_state=DONE)
    site.schedule(site.plan(), 90)
    found = site.figures()
    entries = "karbor_like_queue_entries"
    assert found.get_sample_value(entries, {"queue": "operations", "state": "waiting"}) == 2
    assert found.get_sample_value(entries, {"queue": "operations", "state": "running"}) == 1
    assert found.get_sample_value("karbor_like_queue_oldest_seconds", {"queue": "operations"}) >= 600
    assert found.get_sample_value("karbor_like_operation_leases", {"state": "held"}) == 1
    assert found.get_sample_value("karbor_like_operation_leases", {"state": "expired"}) == 1
    assert found.get_sample_value("karbor_like_operations_unclean") == 1
    assert found.get_sample_value("karbor_like_scheduler_lag_seconds") == 90


def test_services_banks_and_collections(site):
    good, bad = ({"id": PROVIDER, "bank": "reachable"}, {"id": OTHER, "bank": "unreachable"})
    site.beat("karbor-protection", providers=[good, bad])
    site.beat("karbor-protection", hung=[{"name": "t", "seconds": 9}])
    site.beat("karbor-protection", age=3600)
    for name in (PROVIDER, "3" * 36):
        site.database.write(lambda session, name=name: jobs.take(session, jobs.COLLECT + name, "me", 60))
        site.database.write(lambda session, name=name: jobs.done(session, jobs.COLLECT + name))
        site.database.write(
            lambda session, name=name: jobs.record(session, jobs.COLLECT + name, {jobs.STORED_BYTES: 2**40})
        )
    site.database.write(lambda session: jobs.take(session, jobs.COLLECT + OTHER, "me", 60))
    found = site.figures()
    states = {
        state: found.get_sample_value("karbor_like_services", {"binary": "karbor-protection", "state": state})
        for state in ("up", "down", "hung")
    }
    assert states == {"up": 1, "down": 1, "hung": 1}
    assert found.get_sample_value("karbor_like_bank_reachable", {"provider_id": PROVIDER}) == 1
    assert found.get_sample_value("karbor_like_bank_reachable", {"provider_id": OTHER}) == 0
    age = "karbor_like_collection_age_seconds"
    assert 0 <= found.get_sample_value(age, {"provider_id": PROVIDER}) < 3600
    # It has never succeeded; the third is of a provider that no service has any more.
    assert found.get_sample_value(age, {"provider_id": OTHER}) is None
    assert found.get_sample_value(age, {"provider_id": "3" * 36}) is None
    collected = [
        found.get_sample_value("karbor_like_bank_collected", {"provider_id": provider_id})
        for provider_id in (PROVIDER, OTHER, "3" * 36)
    ]
    assert collected == [1, 0, None]
    stored = "karbor_like_bank_stored_bytes"
    assert found.get_sample_value(stored, {"provider_id": PROVIDER}) == 2**40
    assert 0 <= found.get_sample_value("karbor_like_bank_stored_age_seconds", {"provider_id": PROVIDER}) < 3600
    for unknown in (OTHER, "3" * 36):
        assert found.get_sample_value(stored, {"provider_id": unknown}) is None


def test_the_oldest_plans(site):
    site.conf.set_override("plans", 2, group="metrics")
    old, older, fresh, never, manual = (site.plan() for _ in range(5))
    for plan_id, age in ((old, 7200), (older, 9000), (fresh, 60)):
        site.schedule(plan_id, 100_000)
        site.checkpoint(plan_id, age + 50_000)
        site.checkpoint(plan_id, age)
        site.checkpoint(plan_id, 1, status="error")
        site.checkpoint(plan_id, 1, provider_id=OTHER)
    site.schedule(never, 8000)
    site.schedule(manual, 100_000, enabled=False)
    name = "karbor_like_plan_checkpoint_age_seconds"
    (family,) = (found for found in site.figures().collect() if found.name == name)
    ages = {sample.labels["plan_id"]: sample.value for sample in family.samples}
    assert ages == {older: pytest.approx(9000, abs=600), never: pytest.approx(8000, abs=600)}
    assert {sample.labels["project_id"] for sample in family.samples} == {"p"}
    found = site.figures()
    assert found.get_sample_value("karbor_like_plans", {"scheduled": "true"}) == 4
    assert found.get_sample_value("karbor_like_plans", {"scheduled": "false"}) == 1
    labels = {"provider_id": PROVIDER}
    assert found.get_sample_value("karbor_like_bank_bytes", {**labels, "measure": "stored"}) == 6 * 5
    assert found.get_sample_value("karbor_like_checkpoints", {**labels, "status": "error"}) == 3


def test_the_newest_good_checkpoint_of_plans_is_one_query(site):
    first, second = site.plan(), site.plan()
    site.checkpoint(first, 100)
    site.checkpoint(first, 5)
    with site.database.lookup() as connection:
        found = plans.last_checkpoints(connection, [first, second])
    assert found.keys() == {first}
    assert abs(found[first] - (site.now - timedelta(seconds=5))) < timedelta(milliseconds=1)


def test_any_number_of_looks_within_the_interval_are_one(site):
    figures = Figures(site.conf, site.database, site.clock)
    statements: list[str] = []
    list(figures.collect())
    with site.database.lookup() as connection:
        engine = connection.engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda conn, cursor, statement, *rest: statements.append(statement)
    )
    site.clock.advance(14)
    for _ in range(50):
        list(figures.collect())
    assert statements == []
    site.clock.advance(1)
    list(figures.collect())
    # However many plans and checkpoints there are.
    assert 0 < len(statements) < 20
