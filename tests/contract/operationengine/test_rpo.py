"""Plans whose last good checkpoint is too old for their schedules, on every database."""

from datetime import UTC, datetime
from typing import Any

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.conf import operationengine as options
from karbor_like.conf import trigger as trigger_options
from karbor_like.db import changes
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models.base import new_id
from karbor_like.db.plans import PLANS
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.triggers import TRIGGERS
from karbor_like.operationengine.rpo import Objectives
from karbor_like.triggers import loader
from karbor_like.triggers.time import TimeTrigger

START = datetime(2031, 3, 1, tzinfo=UTC)
HOURLY = {"format": "crontab", "pattern": "0 * * * *", "start_time": "2031-03-01 00:00:00", "window": 900}
DAILY = {**HOURLY, "pattern": "0 0 * * *"}
PROVIDER = "1" * 36


class Site:
    """Plans with schedules, on a clock that tests move."""

    def __init__(self, database) -> None:
        self.database = database
        self.clock = ManualClock(START)
        self.conf = cfg.ConfigOpts()
        for module in (options, trigger_options):
            self.conf.register_opts(module.OPTS, group=module.GROUP.name)
        self.conf([])
        self.objectives = self.engine()

    def engine(self, **types: Any) -> Objectives:
        return Objectives(self.conf, self.database, self.clock, {**loader.trigger_types(), **types})

    def plan(self, *schedules: dict[str, Any]) -> str:
        row = {"project_id": "p", "name": "n", "provider_id": PROVIDER, "resources": [], "parameters": {}}
        plan_id = self._insert(PLANS, **row)
        for properties in schedules:
            self.schedule(plan_id, properties)
        return plan_id

    def schedule(self, plan_id: str, properties: dict[str, Any]) -> str:
        trigger = self._insert(TRIGGERS, project_id="p", name="t", type="time", properties=properties)
        row = {"project_id": "p", "user_id": "u", "name": "s", "operation_type": "protect", "operation_definition": {}}
        return self._insert(SCHEDULED_OPERATIONS, **row, trigger_id=trigger, plan_id=plan_id)

    def checkpoint(self, plan_id: str, status: str = "available") -> str:
        row = {"project_id": "p", "provider_id": PROVIDER, "plan_id": plan_id, "status": status}
        return self._insert(CHECKPOINTS, **row, plan={}, resource_graph="[]", extra_info={})

    def _insert(self, repository, **values: Any) -> str:
        values = {"id": new_id(), "created_at": self.clock.now(), **values}
        return self.database.write(lambda session: repository.insert(session, **values)).id

    def change(self, repository, row_id: str, **values: Any) -> None:
        self.database.write(lambda session: repository.update(session, row_id, values))

    def after(self, seconds: float, plan_id: str) -> str | None:
        """Advance the clock, look, and return the state of a plan."""
        self.clock.advance(seconds)
        self.objectives.check()
        with self.database.reader() as session:
            return PLANS.get(session, plan_id).rpo_state


@pytest.fixture
def site(database) -> Site:
    return Site(database)


@pytest.fixture
def reported(database) -> list[tuple[str | None, str]]:
    """The changes of which a listener was notified."""
    found: list[tuple[str | None, str]] = []
    changes.watch(database, lambda given: found.extend((one.old, one.new) for one in given))
    return found


def test_two_missed_due_times_violate_the_objective_once(site, reported):
    plan = site.plan(HOURLY)
    site.checkpoint(plan)
    reported.clear()
    # Due at 1:00 and at 2:00; the second one may start until 2:15.
    assert site.after(2 * 3600 + 900, plan) is None
    site.checkpoint(plan, "error")
    assert site.after(1, plan) == "violated"
    assert site.after(3600, plan) == "violated"
    site.engine().check()
    site.checkpoint(plan)
    assert site.after(1, plan) == "met"
    assert site.after(3600, plan) == "met"
    assert site.after(3600 + 900, plan) == "violated"
    moves = [change for change in reported if change[1] in ("violated", "met")]
    assert moves == [(None, "violated"), ("violated", "met"), ("met", "violated")]


def test_a_plan_that_never_had_a_checkpoint_violates_it_too(site):
    plan = site.plan(HOURLY)
    assert site.after(2 * 3600 + 900, plan) is None
    assert site.after(1, plan) == "violated"


def test_the_strictest_schedule_counts_and_a_disabled_one_does_not(site):
    plan = site.plan(DAILY)
    site.checkpoint(plan)
    hourly = site.schedule(plan, HOURLY)
    assert site.after(3 * 3600, plan) == "violated"
    site.change(SCHEDULED_OPERATIONS, hourly, enabled=False)
    assert site.after(60, plan) == "met"
    assert site.after(2 * 24 * 3600, plan) == "violated"


def test_a_new_schedule_has_time_for_its_first_checkpoint(site):
    plan = site.plan()
    site.checkpoint(plan)
    site.clock.advance(365 * 24 * 3600)
    site.schedule(plan, HOURLY)
    assert site.after(3600, plan) is None


def test_a_schedule_that_ends_has_no_objective_afterwards(site):
    plan = site.plan({**HOURLY, "end_time": "2031-03-01 01:30:00"})
    assert site.after(100 * 3600, plan) is None


def test_it_can_be_disabled(site):
    plan = site.plan(HOURLY)
    assert site.after(10 * 3600, plan) == "violated"
    site.conf.set_override("rpo_missed", 0, group="operationengine")
    assert site.after(60, plan) == "met"


def test_a_trigger_that_cannot_be_evaluated_does_not_hide_the_others(site):
    broken, unknown, good = (site.plan({**HOURLY, "format": "none"}), site.plan(HOURLY), site.plan(HOURLY))

    class Faulty(TimeTrigger):
        def parse(self, properties: Any) -> Any:
            if "broken" in properties:
                raise ZeroDivisionError
            return super().parse(properties)

    site.schedule(unknown, {**HOURLY, "broken": 1})
    site.objectives = site.engine(time=Faulty())
    assert site.after(10 * 3600, good) == "violated"
    assert site.after(0, broken) is None


def test_a_due_time_is_computed_once_for_each_checkpoint(site):
    computed = []

    class Counting(TimeTrigger):
        def parse(self, properties: Any) -> Any:
            computed.append(properties)
            return super().parse(properties)

    site.objectives = site.engine(time=Counting())
    plan = site.plan(HOURLY)
    for _ in range(5):
        site.after(10, plan)
    assert len(computed) == 1
    site.checkpoint(plan)
    site.after(10, plan)
    assert len(computed) == 2
    with pytest.raises(exception.PlanNotFound):
        site.after(0, new_id())
