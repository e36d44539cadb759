"""Restores of resources that refer to each other: order, plan, mapping and the template of the whole restore."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.protection.plugins import NODE
from tests.functional.protection.site import Site, order, running


@pytest.fixture
def topology(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A service whose plugin implements the hooks of a whole restore."""
    provider = tmp_path / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("NodeProtection", "TopologyProtection"))
    with running(Site(tmp_path, files)) as site:
        yield site


def checkpoint(site: Site) -> str:
    """Protect a server and a network below one project; the server depends on the network. Return the checkpoint's id."""
    site.cloud.plant({"project": ["server", "network"], "server": [], "network": []})
    site.cloud.need(server=["network"])
    created = site.protect("project")
    site.wait(created["id"], "available")
    return created["id"]


def test_dependencies_are_in_the_graph(topology: Site) -> None:
    row = topology.checkpoint(checkpoint(topology))
    nodes, adjacency = json.loads(row.resource_graph)
    assert [node[1] for node in nodes.values()] == ["network", "server", "project"]
    assert nodes["0x1"][4] == ["0x0"]
    assert adjacency == [["0x2", ["0x1", "0x0"]]]


@pytest.mark.parametrize("plugin", ["NodeProtection", "TopologyProtection"])
def test_dependencies_are_restored_first(tmp_path: Path, files: Path, plugin: str) -> None:
    provider = tmp_path / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("NodeProtection", plugin))
    with running(Site(tmp_path, files)) as site:
        checkpoint_id = checkpoint(site)
        assert site.wait_done(restore_id=site.restore(checkpoint_id)).status == "success"
        calls = site.cloud.calls()
    assert order(calls, "restore:main:network:end", "restore:main:server:begin")
    assert order(calls, "restore:complete:network:end", "restore:complete:server:begin")
    (restored,) = [call for call in calls if call.startswith("restored:server:")]
    assert "new-network" in restored


def test_one_template_holds_all_contributions_when_a_resource_completes(topology: Site) -> None:
    restore_id = topology.restore(checkpoint(topology))
    assert topology.wait_done(restore_id=restore_id).status == "success"
    calls = topology.cloud.calls()
    contributed = [call for call in calls if ":contribute:" in call]
    assert contributed == [f"restore:contribute:{name}" for name in ("network", "server", "project")]
    for name in ("network", "server", "project"):
        assert order(calls, f"restore:plan:{name}", "restore:prepare_begin:project:begin")
        assert order(calls, f"restore:main:{name}:end", contributed[0])
        assert order(calls, contributed[-1], f"restore:complete:{name}:begin")
    templates = {call.partition(":")[2].partition(":")[2] for call in calls if call.startswith("template:")}
    assert [json.loads(template) for template in templates] == [
        {
            "network": {"type": "Node", "properties": {"links": []}},
            "server": {"type": "Node", "properties": {"links": [{"get_resource": "network"}]}},
            "project": {"type": "Node", "properties": {"links": []}},
        }
    ]


def test_conflicts_of_the_plan_end_a_restore_before_anything_is_made(topology: Site) -> None:
    checkpoint_id = checkpoint(topology)
    topology.cloud.fault(**{"plan:server": "conflict", "plan:network": "conflict"})
    restore_id = topology.restore(checkpoint_id)
    assert topology.wait_done(restore_id=restore_id).status == "fail"
    reason = topology.restored(restore_id).reason
    assert reason == f"nothing was restored: {NODE}#network: no room for network; {NODE}#server: no room for server"
    row = topology.restored(restore_id)
    assert row.resources_status == {f"{NODE}#{name}": "error" for name in ("network", "server")}
    assert row.resources_reason == {f"{NODE}#{name}": f"no room for {name}" for name in ("network", "server")}
    assert not [call for call in topology.cloud.calls() if call.startswith("restore:prepare_begin:")]
    assert topology.things() == []


def test_mapping_of_the_request_reaches_every_resource(topology: Site) -> None:
    checkpoint_id = checkpoint(topology)
    network, foreign = (f"{NODE}#{uuid.UUID(int=number)}" for number in (1, 2))
    mapped = {network: {"map_to": "net-1"}, NODE: {"map_to": "ignored"}, foreign: {"map_to": "f"}}
    topology.wait_done(restore_id=topology.restore(checkpoint_id, mapped))
    seen = [call for call in topology.cloud.calls() if call.startswith("mapping:")]
    assert set(seen) == {f'mapping:{{"{network}":"net-1","{foreign}":"f"}}'}
    assert len(seen) == 3


def plan_of(site: Site, checkpoint_id: str, **more: Any) -> dict[str, Any]:
    """The result of a dry run."""
    restore_id = site.restore(checkpoint_id, dry_run=True, **more)
    assert site.wait_done(restore_id=restore_id).status == "success"
    row = site.restored(restore_id)
    assert (row.status, row.dry_run, row.resources_status) == ("success", True, {})
    assert row.plan is not None
    return row.plan


def test_dry_run_shows_actions_bytes_and_template_and_creates_nothing(topology: Site) -> None:
    topology.cloud.content("server", b"x" * 1000)
    checkpoint_id = checkpoint(topology)
    plan = plan_of(topology, checkpoint_id)
    sizes = {"network": 0, "server": 1000, "project": 0}
    assert plan["actions"] == [
        {"action": "create", "resource": f"{NODE}#{name}", "name": f"name of {name}", "reason": "", "bytes": size}
        for name, size in sizes.items()
    ]
    assert plan["bytes"] == 1000
    assert (plan["deployer"], plan["deployer_reason"]) == ("direct", "")
    assert plan["template"]["server"] == {"type": "Node", "properties": {"links": [{"get_resource": "network"}]}}
    assert not [
        call for call in topology.cloud.calls() if call.startswith(("restore:prepare", "restore:main", "restored"))
    ]
    assert topology.things() == []


def test_dry_run_shows_conflicts(topology: Site) -> None:
    checkpoint_id = checkpoint(topology)
    topology.cloud.fault(**{"plan:server": "conflict"})
    plan = plan_of(topology, checkpoint_id)
    conflict = {
        "action": "conflict",
        "resource": f"{NODE}#server",
        "name": "name of server",
        "reason": "no room for server",
    }
    assert [line for line in plan["actions"] if line["action"] == "conflict"] == [{**conflict, "bytes": None}]
    assert (plan["template"], plan["template_reason"], plan["deployer"]) == (None, "there are conflicts", None)


def test_restore_of_some_resources(topology: Site) -> None:
    checkpoint_id = checkpoint(topology)
    plan = plan_of(topology, checkpoint_id, resources=[f"{NODE}#network"])
    assert [line["resource"] for line in plan["actions"]] == [f"{NODE}#network"]
    restore_id = topology.restore(checkpoint_id, resources=[f"{NODE}#network"])
    assert topology.wait_done(restore_id=restore_id).status == "success"
    assert set(topology.restored(restore_id).resources_status) == {f"{NODE}#new-network"}
    restored = {call.split(":")[1] for call in topology.cloud.calls() if call.startswith("restored:")}
    assert restored == {"network"}


def test_restore_of_a_parent_alone(topology: Site) -> None:
    checkpoint_id = checkpoint(topology)
    restore_id = topology.restore(checkpoint_id, resources=[f"{NODE}#project"], with_children=False)
    assert topology.wait_done(restore_id=restore_id).status == "success"
    assert set(topology.restored(restore_id).resources_status) == {f"{NODE}#new-project"}


def test_dry_run_without_a_template(tmp_path: Path, files: Path) -> None:
    with running(Site(tmp_path, files)) as site:
        plan = plan_of(site, checkpoint(site))
    assert (plan["template"], plan["template_reason"]) == (None, "no resource contributes to a template")


@pytest.fixture
def measured(tmp_path: Path, files: Path) -> Iterator[Site]:
    """A service whose plugin knows quotas."""
    provider = tmp_path / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("NodeProtection", "MeasuredProtection"))
    with running(Site(tmp_path, files)) as site:
        yield site


def quota(name: str, needed: int, free: int | None, limit: int | None) -> dict[str, Any]:
    return {"resource": name, "needed": needed, "free": free, "limit": limit}


def test_dry_run_compares_what_is_needed_with_the_quotas(measured: Site) -> None:
    checkpoint_id = checkpoint(measured)
    measured.cloud.count("needed", server={"disks": 3, "cores": 0}, network={"disks": 2, "hidden": 1, "any": 7})
    plan = plan_of(measured, checkpoint_id)
    unknown = [
        quota(name, needed, None, None) for name, needed in (("any", 7), ("disks", 5), ("hidden", 1), ("nodes", 3))
    ]
    assert plan["quotas"] == unknown, "the cloud shows no quotas"
    assert plan["template"] is not None

    disks, nodes = {"limit": 9, "used": 5}, {"limit": 5, "used": 2}
    measured.cloud.count("quotas", disks=disks, nodes=nodes, any={"limit": -1, "used": 1})
    plan = plan_of(measured, checkpoint_id)
    assert plan["quotas"] == [
        quota("any", 7, None, -1),
        quota("disks", 5, 4, 9),
        quota("hidden", 1, None, None),
        quota("nodes", 3, 3, 5),
    ]
    (conflict,) = (line for line in plan["actions"] if line["action"] == "conflict")
    assert conflict["resource"] == f"{NODE}#network"
    assert conflict["name"] == "name of network"
    assert conflict["reason"].startswith("quota 'disks': the restore needs 5, and 4 are free; ")
    assert set(plan["template"]) == {"network", "server", "project"}

    # What the restore raises before counts as free.
    for raised, free, limit in ((-1, 5, 10), (-(2**53), None, -1)):
        measured.cloud.count("needed", server={"disks": 3}, network={"disks": 2}, project={"disks": raised})
        plan = plan_of(measured, checkpoint_id)
        assert plan["quotas"] == [quota("disks", 5, free, limit), quota("nodes", 3, 3, 5)]
        assert not [line for line in plan["actions"] if line["action"] == "conflict"]


@pytest.mark.parametrize("exceeded", ["disks", "nodes"])
def test_a_restore_that_exceeds_a_quota_makes_nothing(measured: Site, exceeded: str) -> None:
    checkpoint_id = checkpoint(measured)
    measured.cloud.count("needed", server={"disks": 3})
    limits = {"disks": {"limit": 3}, "nodes": {"limit": 3}}
    measured.cloud.count("quotas", **{**limits, exceeded: {"limit": 2}})
    restore_id = measured.restore(checkpoint_id)
    assert measured.wait_done(restore_id=restore_id).status == "fail"
    first = {"disks": "server", "nodes": "network"}[exceeded]
    expected = f"nothing was restored: {NODE}#{first}: quota {exceeded!r}: the restore needs 3, and 2 are free"
    assert measured.restored(restore_id).reason.startswith(expected)
    assert not [call for call in measured.cloud.calls() if call.startswith("restore:prepare_begin:")]
    assert measured.things() == []
    measured.cloud.count("quotas", **limits)
    assert measured.wait_done(restore_id=measured.restore(checkpoint_id)).status == "success"
