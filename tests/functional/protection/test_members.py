"""Resources below those that a plan names: one that cannot be protected is left out, and the checkpoint names it."""

import json
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.api import views
from karbor_like.domain.graph import Graph
from karbor_like.domain.resource import PROJECT
from karbor_like.protection.sync import Sync, SyncReport
from tests.functional.protection import plugins
from tests.functional.protection.site import OTHER_PROVIDER, PROVIDER, Site, running, write_files, write_provider


@pytest.fixture
def tree(site: Site) -> Site:
    """A running service, and a node with three children, all with something in them."""
    site.cloud.plant({"a": ["b", "c", "d"], "b": [], "c": [], "d": []})
    for name in "abcd":
        site.cloud.content(name, name.encode() * 1000)
    return site


def left_out(name: str, reason: str) -> dict[str, str]:
    return {"type": plugins.NODE, "id": name, "name": f"name of {name}", "reason": reason}


def contained(text: str) -> list[str]:
    """The ids of the resources in a graph."""
    return [node.id for node in Graph.from_text(text).nodes]


def test_children_that_cannot_be_protected_are_left_out_and_named(tree: Site):
    tree.cloud.obstruct(b="it is in state 'error'")

    created = tree.protect("a")

    expected = [left_out("b", "it is in state 'error'")]
    assert created["left_out"] == expected
    assert set(created["protection_plan"]) == {"id", "name", "provider_id", "resources"}
    row = tree.wait(created["id"], "available", "error")
    text = f"left out: {plugins.NODE}#b (name of b): it is in state 'error'"
    assert (row.status, row.reason) == ("available", text)
    shown = views.checkpoint(row, {"reason": None})
    assert (shown["left_out"], shown["reason"]) == (expected, text)
    assert contained(row.resource_graph) == ["c", "d", "a"]
    assert not any(":b:" in call for call in tree.cloud.calls())
    assert tree.operation(checkpoint_id=created["id"]).error_info is None


@pytest.mark.parametrize(("hook", "fault"), [("prepare_finish", "vanish"), ("main", "vanish"), ("main", "obstacle")])
def test_a_child_that_cannot_be_protected_any_more_is_left_out(tree: Site, hook: str, fault: str):
    tree.cloud.fault(**{f"{hook}:b": fault})

    row = tree.wait(tree.protect("a")["id"], "available", "error")

    reason = f"there is no {plugins.NODE} b" if fault == "vanish" else "b is busy with something else"
    assert (row.status, row.reason) == ("available", f"left out: {plugins.NODE}#b (name of b): {reason}")
    assert views.checkpoint(row, {})["left_out"] == [left_out("b", reason)]
    assert contained(row.resource_graph) == ["c", "d", "a"]
    assert (row.logical_bytes, row.new_bytes, row.stored_bytes) == (300, 180, 90)
    calls = tree.cloud.calls()
    assert "protect:cleanup:b" in calls
    assert "protect:complete:b:begin" not in calls
    assert "protect:complete:a:end" in calls
    assert tree.things() == [], "what was made for the child was deleted"
    resources = tree.resources(checkpoint_id=row.id)
    assert (resources["b"].status, resources["b"].reason) == ("left_out", reason)
    event = tree.env.providers.get(PROVIDER).bank.checkpoints.get(row.id).events[-1]
    assert event.detail["left_out"] == [left_out("b", reason)]
    assert set(event.detail["sizes"]) == {f"{plugins.NODE}#{name}" for name in "acd"}

    restore_id = tree.restore(row.id)
    assert tree.wait_done(restore_id=restore_id).status == "success"
    assert set(tree.restored(restore_id).resources_status) == {f"{plugins.NODE}#new-{name}" for name in "acd"}
    assert tree.wait_done(verification_id=tree.verify(row.id)).status == "success"
    tree.delete(row.id)
    assert tree.wait(row.id, "deleted", "error-deleting").status == "deleted"


def test_a_parent_does_not_see_a_child_that_was_left_out(tree: Site, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def complete(self, run):
        seen.append((run.resource.id, [child.id for child in run.children], run.is_member))

    monkeypatch.setattr(plugins.AllHooks, "complete", complete)
    tree.cloud.fault(**{"main:b": "vanish"})
    tree.wait(tree.protect("a", "c")["id"], "available", "error")
    assert sorted(seen) == [("a", ["c", "d"], False), ("c", [], False), ("d", [], True)]


@pytest.mark.parametrize("fault", ["vanish", "obstacle"])
def test_a_resource_that_the_plan_names_fails_the_checkpoint(tree: Site, fault: str):
    tree.cloud.fault(**{"main:b": fault})
    row = tree.wait(tree.protect("a", "b")["id"], "available", "error")
    assert row.status == "error"
    assert row.reason is not None
    assert row.reason.startswith(f"{plugins.NODE}#b (name of b): step of main: ")


def test_a_child_that_exists_and_fails_fails_the_checkpoint(tree: Site):
    tree.cloud.fault(**{"main:b": "fail"})
    row = tree.wait(tree.protect("a")["id"], "available", "error")
    assert (row.status, row.reason) == (
        "error",
        f"{plugins.NODE}#b (name of b): step of main: the cloud says no to main:b",
    )


def test_what_cannot_be_deleted_of_a_child_that_was_left_out_is_reported(tree: Site):
    tree.cloud.fault(**{"main:b": "obstacle", "cleanup:b": "fail"})
    row = tree.wait(tree.protect("a")["id"], "available", "error")
    assert row.status == "available"
    assert row.reason is not None
    assert row.reason.startswith("left behind: thing id-")
    assert row.reason.endswith(f"; left out: {plugins.NODE}#b (name of b): b is busy with something else")


def test_copies_and_other_sites_know_what_was_left_out(tree: Site, tmp_path: Path):
    write_provider(tmp_path, OTHER_PROVIDER, "other", "other-bank")
    tree.env.providers.load()
    tree.cloud.obstruct(b="it is in state 'error'")
    tree.cloud.fault(**{"main:c": "vanish"})
    plan_id = tree.plan("a")
    mine = tree.wait(tree.protect(plan_id=plan_id)["id"], "available", "error")
    expected = [left_out("b", "it is in state 'error'"), left_out("c", f"there is no {plugins.NODE} c")]
    assert views.checkpoint(mine, {})["left_out"] == expected

    (copy_id,) = tree.copy(plan_id).values()
    copy = tree.wait(copy_id, "available", "error")
    assert (copy.status, copy.reason) == ("available", mine.reason)
    path = write_files(tmp_path, host="there", database=f"sqlite:///{tmp_path}/there.sqlite")
    with running(Site(tmp_path, path)) as there:
        for provider_id, known in ((PROVIDER, mine), (OTHER_PROVIDER, copy)):
            assert Sync(there.env.database, there.env.providers.get(provider_id)).run() == SyncReport(added=1)
            found = there.checkpoint(known.id)
            assert views.checkpoint(found, {})["left_out"] == expected
            assert (found.reason, found.plan) == (known.reason, known.plan)
            assert json.loads(found.resource_graph) == json.loads(known.resource_graph)
            restore_id = there.restore(known.id, provider_id=provider_id)
            assert there.wait_done(restore_id=restore_id).status == "success"


def test_a_reset_keeps_the_reason(tree: Site):
    tree.cloud.obstruct(b="it is in state 'error'")
    row = tree.wait(tree.protect("a")["id"], "available")
    for state in ("error", "available"):
        tree.endpoint.reset_checkpoint(tree.context(), provider_id=PROVIDER, checkpoint_id=row.id, state=state)
    assert tree.checkpoint(row.id).reason == row.reason


def test_planned_resources_that_do_not_exist_are_all_named_and_can_be_left_out(tree: Site):
    plan_id = tree.plan("a", "x", "y")
    with pytest.raises(exception.ResourceNotFound) as refusal:
        tree.protect(plan_id=plan_id)
    assert refusal.value.message == (
        f"{plugins.NODE}#x (x): there is no {plugins.NODE} x; {plugins.NODE}#y (y): there is no {plugins.NODE} y. Remove what"
        " does not exist from the plan, or protect the plan with the extra_info skip_missing=true to leave it out"
    )
    with pytest.raises(exception.ResourceNotFound):
        tree.protect(plan_id=plan_id, extra_info={"skip_missing": "no"})
    for value in (True, "true"):
        created = tree.protect(plan_id=plan_id, extra_info={"skip_missing": value})
        assert [one["id"] for one in created["left_out"]] == ["x", "y"]
        row = tree.wait(created["id"], "available", "error")
        assert (row.status, contained(row.resource_graph)) == ("available", ["b", "c", "d", "a"])


def test_a_plan_of_which_nothing_exists_has_nothing_to_protect(tree: Site):
    with pytest.raises(exception.PlanEmpty, match=f"nothing to protect: {plugins.NODE}#x: there is no"):
        tree.protect("x", extra_info={"skip_missing": True})


def test_children_of_a_type_that_the_provider_does_not_protect_are_left_out(tree: Site, tmp_path: Path):
    path = tmp_path / "providers.d" / "test.conf"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "NodeProtection" not in line))
    tree.env.providers.load()
    tree.cloud.plant({"g": ["a"], "a": []})
    row = tree.wait(tree.protect("g")["id"], "available", "error")
    assert (row.status, contained(row.resource_graph)) == ("available", ["g"])
    (one,) = views.checkpoint(row, {})["left_out"]
    assert one["id"] == "a"
    assert "cannot protect resources of type Test::Node" in one["reason"]


@pytest.fixture
def project_site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A running service where groups are projects, for which the provider has no plugin."""
    types = frozenset({PROJECT, plugins.NODE})
    monkeypatch.setattr(plugins, "GROUP", PROJECT)
    monkeypatch.setattr(plugins.Groups, "resource_type", PROJECT)
    monkeypatch.setattr(plugins.Nodes, "parent_types", types)
    monkeypatch.setattr(plugins.Groups, "parent_types", types)
    site: Site = request.getfixturevalue("site")
    return site


def test_a_project_needs_no_plugin(project_site: Site):
    project_site.cloud.plant({"g": ["a"], "a": [], "gg": []})
    row = project_site.wait(project_site.protect("g")["id"], "available", "error")
    assert (row.status, row.reason, contained(row.resource_graph)) == ("available", None, ["a"])
    with pytest.raises(
        exception.PlanEmpty, match=f"nothing to protect: {PROJECT}#gg: provider 'test' .* cannot protect"
    ):
        project_site.protect("gg")


def test_a_checkpoint_without_any_resource_is_no_success(project_site: Site):
    project_site.cloud.plant({"g": ["a"], "a": []})
    project_site.cloud.fault(**{"main:a": "vanish"})
    row = project_site.wait(project_site.protect("g")["id"], "available", "error")
    reason = f"no resource could be protected; left out: {plugins.NODE}#a (name of a): there is no {plugins.NODE} a"
    assert (row.status, row.reason) == ("error", reason)
