"""Every command of the last released client prints the same as that of our client."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conformance import beside
from tests.functional.conformance.clients import Clients
from tests.functional.conformance.target import Target
from tests.scenario.tenant import Tenant

pytestmark = pytest.mark.sandbox
OURS = Clients(Path(sys.prefix))


def walk(
    client: Clients, target: Target, user: str, commands: beside.Commands, ids: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the results of commands, by name."""
    asked = json.dumps({"commands": list(commands.items()), "ids": ids})
    script = str(Path(beside.__file__).with_name("command_walk.py"))
    done = client.run("python", "-W", "ignore", script, asked, env=target.environment(user))
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


class TestBothClients:
    """Our client prints the same as the last released one for the same arguments."""

    @pytest.fixture(scope="class")
    def ids(self, target: Target) -> dict[str, str]:
        """The ids for :func:`walk` of what exists."""
        return {"provider": target.provider, "volume": target.volume.id, "project": target.project_id("alice")}

    @pytest.fixture(scope="class")
    def created(self, target: Target, ids: dict[str, str]) -> dict[str, Any]:
        """The results of the commands of our client that create the objects to read."""
        return walk(OURS, target, "alice", beside.creating(target.volume.id), ids)

    def test_names_and_what_only_our_client_has(self, created):
        failed = {name: result["err"] for name, result in created.items() if result["code"]}
        assert not failed
        assert created["checkpoint"]["out"]["status"] == "available"
        assert "available, " in created["checkpoint"]["err"], "the progress"
        assert created["dry run"]["out"]["plan"]["actions"]
        (decision,) = created["retention"]["out"]
        assert (decision["Id"], decision["Delete"]) == (created["checkpoint"]["out"]["id"], False)
        assert {log["Operation Type"] for log in created["logs"]["out"]} == {"protect"}

    def test_reading(self, clients, target, ids, created):
        known = {**ids, **{name: each["out"]["id"] for name, each in created.items() if isinstance(each["out"], dict)}}
        ours, theirs = (walk(client, target, "alice", beside.READING, known) for client in (OURS, clients))
        for name, result in theirs.items():
            assert (ours[name]["code"], ours[name]["out"]) == (result["code"], result["out"]), name

    def test_changing(self, clients, target, ids, created):
        names = {"compared": "plan", "taken": "checkpoint", "trigger": "trigger"}
        known = {**ids, **{name: created[noun]["out"]["id"] for name, noun in names.items()}}
        ours, theirs = (walk(client, target, "alice", beside.CHANGING, known) for client in (OURS, clients))
        for name, result in theirs.items():
            outputs = [beside.comparable(each["out"]) for each in (ours[name], result)]
            assert outputs[0] == outputs[1], name
            assert bool(ours[name]["code"]) == bool(result["code"]), (name, ours[name]["err"], result["err"])

    def test_administering(self, clients, target, ids):
        services = Tenant(target.cloud, "admin").call("GET", "/os-services?binary=karbor-operationengine")["services"]
        known = {**ids, "service": services[0]["id"]}
        ours, theirs = (walk(client, target, "admin", beside.ADMINISTERING, known) for client in (OURS, clients))
        for name, result in theirs.items():
            assert result["code"] == ours[name]["code"] == 0, (name, ours[name]["err"])
            assert beside.comparable(ours[name]["out"]) == beside.comparable(result["out"]), name
