"""The last released client with today's OpenStackClient: what works and what does not, as the page on clients says.

The lists fail after they received their entries, so the API cannot make them work.
"""

import json

import pytest

from tests.scenario.tenant import VOLUME

pytestmark = [pytest.mark.once, pytest.mark.turn(1)]


@pytest.fixture(scope="module")
def alice(clients_today, target):
    env = target.environment("alice")
    return lambda *command, **kwargs: clients_today.openstack(*command, env=env, **kwargs)


@pytest.fixture(scope="module")
def plan(alice, target):
    return alice("plan", "create", "today", target.provider, f"{target.volume.id}={VOLUME}=data-1")


@pytest.fixture(scope="module")
def checkpoint(alice, target, plan):
    created = alice("checkpoint", "create", target.provider, plan["id"], "--extra_info", "why=because")
    target.settle(created["id"])
    return created


def test_objects_are_created_listed_and_shown(alice, target, plan, checkpoint):
    assert alice("plan", "show", plan["id"])["name"] == "today"
    assert plan["id"] in [item["Id"] for item in alice("plan", "list")]
    assert json.loads(alice("checkpoint", "show", target.provider, checkpoint["id"])["extra_info"]) == {
        "why": "because"
    }
    assert checkpoint["id"] in [item["Checkpoint id"] for item in alice("operationlog", "list")]
    assert {"Protectable type": VOLUME} in alice("protectable", "list")
    assert target.provider in [item["Id"] for item in alice("provider", "list")]


def test_lists_with_formatted_columns_fail(alice, clients_today, target, checkpoint):
    alice("verification", "create", target.provider, checkpoint["id"])
    commands = (
        ("checkpoint", "list", target.provider),
        ("protectable", "instance", "list", VOLUME),
        ("verification", "list"),
    )
    for command in commands:
        done = clients_today.run("openstack", "data", "protection", *command, env=target.environment("alice"))
        assert done.returncode != 0, command
        assert "Invalid formatter provided" in done.stderr, command
