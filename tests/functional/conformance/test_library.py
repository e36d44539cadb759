"""The library of the last released client, with both of its transports."""

import json
from pathlib import Path

import pytest

from tests.scenario.tenant import VOLUME

pytestmark = [pytest.mark.once, pytest.mark.turn(2)]
_SCRIPT = Path(__file__).with_name("library_walk.py")


@pytest.fixture(scope="module", params=["session", "token"])
def seen(request, clients, target):
    project = target.project_id("alice")
    asked = {
        "credentials": target.cloud.credentials("alice"),
        "endpoint": f"{target.url}/v1/{project}",
        "provider": target.provider,
        "volume": target.volume.id,
        "project": project,
        "mode": request.param,
    }
    return clients.library(_SCRIPT, json.dumps(asked))


def test_protectables_and_providers(seen, target):
    assert VOLUME in seen["types"]
    assert target.volume.id in [item["id"] for item in seen["instances"]]
    assert target.volume.id in seen["parameters"]
    assert target.provider in seen["providers"]


def test_plans(seen):
    assert seen["plan"]["parameters"] == {VOLUME: {"description": "from the library"}}
    assert seen["updated"] == "started"
    assert seen["found"] is True
    assert seen["listed"] == [seen["plan"]["id"]]


def test_checkpoints(seen):
    checkpoint = seen["checkpoint"]
    assert checkpoint["status"] == "protecting"
    assert seen["reloaded"] in ("protecting", "available")
    assert json.loads(checkpoint["extra_info"]) == {"created_by": "manual"}
    assert seen["checkpoints"] == [checkpoint["id"]]
    assert checkpoint["id"] in seen["logs"]


def test_schedules(seen):
    assert seen["trigger"]["properties"]["window"] == "1000"
    assert seen["renamed"] == "new"
    assert seen["operation"]["operation_definition"]["max_backups"] == "3"
    assert seen["operations"] == [seen["operation"]["id"]]


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("unknown plan", 404),
        ("no id", 400),
        ("invalid", 400),
        ("trigger in use", 424),
        ("plan in use", 409),
        ("forbidden", 403),
        ("restore", 404),
        ("no route", 404),
    ],
)
def test_the_client_raises_its_own_errors(seen, what, status):
    name, actual, text = seen["errors"][what]
    assert actual == status, text
    assert "(HTTP" in text
    assert name


def test_quotas_and_a_deleted_plan(seen, target):
    assert seen["gone"][1] == 404
    for name in ("quota", "defaults"):
        assert seen[name]["id"] == target.project_id("alice")
    assert seen["detail"]["plans"]["reserved"] == 0
    assert seen["class"]["id"] == "gold"
