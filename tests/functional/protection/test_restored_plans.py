"""A restore makes a plan that protects what it restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import Plan
from karbor_like.db.plans import PLANS
from karbor_like.domain import planned
from karbor_like.domain.resource import PROJECT
from karbor_like.protection.operation import restored_plan, spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.session import OperationSession
from tests.functional.protection.plugins import NODE
from tests.functional.protection.site import PROJECT as PROJECT_ID
from tests.functional.protection.site import PROVIDER, Site, running

OPTIONS = {NODE: {"size": 3}, f"{NODE}#a": {"restore_name": "x"}, f"{NODE}#elsewhere": {"size": 4}}


def plans_of(site: Site) -> list[Plan]:
    with site.env.database.reader() as session:
        return list(PLANS.list(session, project_id=PROJECT_ID, sort=(("created_at", "asc"),)))


def protect(site: Site, *names: str, **values: Any) -> str:
    plan = site.plan(*names, **values)
    created: str = site.protect(plan_id=plan)["id"]
    row = site.wait(created, "available", "error")
    assert row.status == "available", row.reason
    return created


def restore(site: Site, checkpoint_id: str, **values: Any) -> tuple[Plan | None, str | None]:
    """Return the plan that a restore made, and the reason of the restore."""
    restore_id = site.restore(checkpoint_id, with_plan=True, **values)
    assert site.wait_done(restore_id=restore_id).status == "success"
    row = site.restored(restore_id)
    with site.env.database.reader() as session:
        made = PLANS.find(session, row.restored_plan_id, PROJECT_ID) if row.restored_plan_id else None
    return made, row.reason


def change_plan(site: Site, checkpoint_id: str, **values: Any) -> None:
    """Change the plan of a checkpoint as an earlier release, or another site, may have written it."""

    def write(session: Any) -> None:
        row = CHECKPOINTS.get(session, checkpoint_id)
        row.plan = {name: value for name, value in {**row.plan, **values}.items() if value is not ...}

    site.env.database.write(write)


def test_the_plan_has_the_restored_resources_and_protects_them(site: Site):
    site.cloud.plant({"a": ["c"], "b": [], "c": []})
    created = protect(site, "a", "b", parameters=OPTIONS, description="every night")
    made, reason = restore(site, created)
    assert made is not None
    assert reason is None
    assert made.name != "a plan"
    assert made.name.startswith("a plan-"), "the original is still there"
    assert (made.description, made.provider_id, made.status) == ("every night", PROVIDER, "suspended")
    assert [(each["type"], each["id"]) for each in made.resources] == [(NODE, "new-a"), (NODE, "new-b")]
    assert made.parameters == {NODE: {"size": 3}, f"{NODE}#new-a": {"restore_name": "x"}}

    site.cloud.plant({"new-a": [], "new-b": []})
    again = site.protect(plan_id=made.id)["id"]
    assert site.wait(again, "available", "error").status == "available"


def test_a_restore_that_does_not_ask_makes_none(site: Site):
    site.cloud.plant({"a": []})
    created = protect(site, "a")
    restore_id = site.restore(created)
    assert site.wait_done(restore_id=restore_id).status == "success"
    assert site.wait_done(restore_id=site.restore(created, with_plan=True, dry_run=True)).status == "success"
    assert len(plans_of(site)) == 1


def test_a_part_of_a_checkpoint(site: Site):
    site.cloud.plant({"a": ["c"], "b": [], "c": []})
    created = protect(site, "a", "b")
    made, reason = restore(site, created, resources=[f"{NODE}#b"])
    assert made is not None
    assert [each["id"] for each in made.resources] == ["new-b"]
    assert reason == f"the plan has no {NODE}#a: not restored"
    below, _ = restore(site, created, resources=[f"{NODE}#c"])
    assert below is not None
    assert [each["id"] for each in below.resources] == ["new-c"], "none of the plan's resources was restored"


def test_a_project_becomes_that_of_the_restore(site: Site):
    site.cloud.plant({"a": []})
    created = protect(site, "a")
    change_plan(site, created, resources=[{"type": PROJECT, "id": "f" * 32, "name": "theirs", "extra_info": None}])
    made, _ = restore(site, created)
    assert made is not None
    assert made.resources == [{"type": PROJECT, "id": PROJECT_ID, "name": "theirs"}]


@pytest.mark.parametrize(
    ("stored", "parameters", "reason"),
    [
        (..., {}, "the plan has no parameters: an earlier release"),
        (
            {NODE: {"size": "large"}, "Foreign": {"x": 1}, NODE + "#a": {"restore_name": "x"}},
            None,
            "Test::Node size, F",
        ),
        ({NODE: "text", "x" * 500: {"y": 1}}, {}, "the provider does not accept that"),
    ],
)
def test_parameters_from_a_bank(site: Site, stored: Any, parameters: Any, reason: str):
    site.cloud.plant({"a": []})
    created = protect(site, "a", parameters=OPTIONS)
    change_plan(site, created, name="\x1b[2J \n", description=7, **{planned.PARAMETERS: stored})
    made, said = restore(site, created)
    assert made is not None
    assert made.parameters == ({f"{NODE}#new-a": {"restore_name": "x"}} if parameters is None else parameters)
    assert (made.name, made.description) == ("[2J", None)
    assert said is not None
    assert reason in said


def test_a_quota_is_a_remark(site: Site):
    site.cloud.plant({"a": []})
    created = protect(site, "a")
    site.conf.set_override("plans", 1, group="quota")
    made, reason = restore(site, created)
    assert made is None
    assert reason is not None
    assert "no plan was made for what was restored: project" in reason


def test_a_plan_for_another_cloud_is_refused(site: Site):
    site.cloud.plant({"a": []})
    created = protect(site, "a")
    with pytest.raises(exception.InvalidInput, match="with_plan: a plan is made at this site"):
        site.restore(created, with_plan=True, restore_target="http://203.0.113.1:5000/v3", restore_auth="x")


@contextmanager
def claimed(site: Site, restore_id: str) -> Iterator[OperationSession]:
    """Another attempt at a restore that a process began."""
    row = site.operation(restore_id=restore_id)
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 60))
    assert claim is not None
    loaded, encrypted, _ = spec.load(site.env.database, claim)
    active = ActiveClaim(claim, site.env.clock, site.env.clock.monotonic(), 60)
    with OperationSession(site.env, loaded, active, encrypted) as operation:
        yield operation


def test_one_restore_makes_one_plan(tmp_path: Path, files: Path):
    with running(Site(tmp_path, files)) as first:
        first.cloud.plant({"a": []})
        created = protect(first, "a")
    site = Site(tmp_path, files)
    with claimed(site, site.restore(created, with_plan=True)) as operation:
        operation.record(f"{NODE}#a", status="available", result_key=f"{NODE}#new-a")
        for _ in range(2):  # the process may die before it records the end of the restore
            assert restored_plan.make(operation) == []
    assert len(plans_of(site)) == 2
    site.close()
