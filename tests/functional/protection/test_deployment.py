"""The deployment of a restore's template: failures, and processes that die, at any point."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from tests.functional.protection import plugins
from tests.functional.protection.attempts import follow, run
from tests.functional.protection.site import LEASE, Site, order


@pytest.fixture
def site(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Two nodes below a third one, all of them deployed; the server depends on the network."""
    provider = tmp_path / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("NodeProtection", "DeployedProtection"))
    clock = ManualClock(datetime.now(UTC))
    site = Site(tmp_path, files)
    site.env = dataclasses.replace(site.env, clock=clock, waiter=Waiter.from_conf(site.env.conf, clock))
    follow(site.env.database.engine, clock)

    def die() -> None:
        clock.advance(LEASE + 1)
        raise exception.LeaseLost("the process stood still for longer than its lease")

    monkeypatch.setattr(plugins, "die", die)
    site.cloud.plant({"project": ["server", "network"], "server": [], "network": []})
    site.cloud.need(server=["network"])
    return site


def restore(site: Site, **faults: str) -> str:
    """Protect, then begin a restore that meets *faults*. Return the id of the restore."""
    checkpoint_id = site.protect("project")["id"]
    assert run(site)
    site.cloud.fault(**faults)
    return site.restore(checkpoint_id)


def deployed(site: Site) -> dict[str, str]:
    """What is deployed and complete: the node -> its id."""
    return dict(name.split(" ") for name in site.things() if " " in name)


def check_complete(site: Site, restore_id: str, *, is_auto: bool = True) -> None:
    """Check that everything is restored once.

    :param is_auto: whether the provider's deployer is ``auto``, which is explained to the tenant once
    """
    assert site.restored(restore_id).status == "success"
    ids = deployed(site)
    assert sorted(ids) == ["network", "project", "server"]
    assert len(site.things()) == 6, "each node was restored and deployed once"
    calls = site.cloud.calls()
    assert {f"deployed:{node}:{cloud_id}" for node, cloud_id in ids.items()} <= set(calls)
    reasons = {node: row.reason for node, row in site.resources(restore_id=restore_id).items()}
    assert {node: reason.rpartition("; ")[2] for node, reason in reasons.items()} == {
        node: f"{node} is deployed" for node in ids
    }
    remarks = [remark for remark, _, own in (reason.rpartition("; ") for reason in reasons.values()) if remark]
    assert ["network has a type that Heat does not know" in remark for remark in remarks] == [True] * is_auto


def test_references_decide_the_order(site: Site) -> None:
    restore_id = restore(site)
    assert run(site)
    check_complete(site, restore_id)
    calls = site.cloud.calls()
    assert order(calls, "deploy:network", "deploy:server")
    for node in ("network", "server", "project"):
        assert order(calls, "restore:main:server:end", f"deploy:{node}")
        assert order(calls, f"deploy:{node}", "restore:complete:network:begin")


@pytest.mark.parametrize("fault", ["before deploy:network", "deploy:network", "before deploy:server", "deploy:server"])
def test_the_next_process_continues(site: Site, fault: str) -> None:
    restore_id = restore(site, **{fault: "exit"})
    assert not run(site)
    assert run(site)
    check_complete(site, restore_id)


@pytest.mark.parametrize("fault", ["finish:network", "complete:server"])
def test_the_next_process_completes(site: Site, fault: str) -> None:
    restore_id = restore(site, **{fault: "exit"})
    assert not run(site)
    assert run(site)
    check_complete(site, restore_id)


@pytest.mark.parametrize("fault", ["before deploy:server", "deploy:server", "finish:server", "complete:network"])
def test_a_failure_leaves_nothing(site: Site, fault: str) -> None:
    restore_id = restore(site, **{fault: "fail"})
    assert run(site)
    row = site.restored(restore_id)
    assert row.status == "fail"
    assert f"the cloud says no to {fault}" in row.reason
    assert site.things() == []
    removed = [
        call.partition("-resource")[0].rpartition("-")[2] for call in site.cloud.calls() if call.startswith("undeploy:")
    ]
    assert "network" in removed
    if "server" in removed:
        assert removed.index("server") < removed.index("network")


def test_the_next_process_removes_what_a_failure_left(site: Site) -> None:
    restore_id = restore(site, **{"complete:network": "fail", "cleanup:server": "exit"})
    assert not run(site)
    assert run(site)
    assert site.restored(restore_id).status == "fail"
    assert site.things() == []


def test_the_next_process_uses_the_same_deployer(site: Site, tmp_path: Path) -> None:
    restore_id = restore(site, **{"deploy:network": "exit"})
    assert not run(site)
    provider = tmp_path / "providers.d" / "test.conf"
    provider.write_text(provider.read_text().replace("[provider]\n", "[provider]\ndeployer = heat\n"))
    site.env.providers.load()
    assert run(site)
    check_complete(site, restore_id, is_auto=False)
