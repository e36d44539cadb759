"""What the API makes of trigger types and time formats: those that are installed are known, no others."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from karbor_like import policy
from karbor_like.api import app
from karbor_like.api.context import ServiceContext
from tests.fixtures import bodies, processes
from tests.fixtures.api import PROJECT_A, Client, check_tokens, token
from tests.fixtures.configuration import write_service
from tests.fixtures.event_trigger import EventTrigger


@pytest.fixture
def application(conf, database, protection, engine, clock):
    deps = ServiceContext(conf, database, protection, engine, policy.make_enforcer(conf), clock)
    types = {**deps.trigger_types, "event": EventTrigger()}
    return app.build(dataclasses.replace(deps, trigger_types=types), authenticate=check_tokens)


def _event(**properties):
    return {"trigger_info": {"name": "on demand", "type": "event", "properties": properties}}


def test_a_further_type_has_properties_of_its_own(alice):
    made = alice.post("/triggers", _event(topic="t"))["trigger_info"]
    assert (made["type"], made["properties"]) == ("event", {"topic": "t"})
    (listed,) = alice.get("/triggers?type=event")["triggers"]
    assert {**listed, **made} == listed
    path = f"/triggers/{made['id']}"
    changed = alice.put(path, {"trigger_info": {"properties": {"topic": "u"}}})["trigger_info"]
    assert changed == {**made, "properties": {"topic": "u"}}
    refused = alice.put(path, {"trigger_info": {"properties": {"pattern": "x"}}}, status=400)
    assert "pattern" in refused["badRequest"]["message"]
    alice.delete(path)


@pytest.mark.parametrize("properties", [{}, {"topic": ""}, {"topic": "t", "format": "crontab"}, {"topic": "nothing"}])
def test_what_a_further_type_refuses(alice, properties):
    answer = alice.post("/triggers", _event(**properties), status=400)
    assert "properties" in answer["badRequest"]["message"]
    assert alice.get("/triggers") == {"triggers": []}


@pytest.mark.parametrize("error", [OverflowError("year 10000"), RecursionError(), KeyError("x"), Exception("odd")])
@pytest.mark.parametrize("method", ["completed", "check", "next"])
def test_any_error_of_a_plugin_refuses_the_properties(conf, database, protection, engine, clock, error, method):
    class Failing(EventTrigger):
        def fail(self, *arguments):
            raise error

    setattr(Failing, method, Failing.fail)
    if method == "next":
        Failing.check = lambda self, *arguments: self
    deps = ServiceContext(conf, database, protection, engine, policy.make_enforcer(conf), clock)
    deps = dataclasses.replace(deps, trigger_types={"event": Failing()})
    alice = Client(app.build(deps, authenticate=check_tokens), token("member"), PROJECT_A)
    message = alice.post("/triggers", _event(topic="t"), status=400)["badRequest"]["message"]
    assert message.startswith(f"trigger_info.properties: cannot be interpreted ({type(error).__name__})")


def test_what_is_not_installed_is_refused_with_what_is(alice):
    answer = alice.post("/triggers", bodies.trigger(type="moon"), status=400)
    assert "type: 'moon' is not one of 'event', 'time'" in answer["badRequest"]["message"]
    answer = alice.post("/triggers", bodies.trigger({"format": "lunar"}), status=400)
    assert "format: 'lunar' is not one of 'calendar', 'crontab'" in answer["badRequest"]["message"]
    assert alice.get("/triggers") == {"triggers": []}


@pytest.mark.parametrize("program", ["api", "operationengine", "allinone"])
def test_limits_that_contradict_each_other_end_a_process_at_its_start(tmp_path: Path, program: str) -> None:
    path = write_service(tmp_path / "karbor_like.conf", trigger={"min_interval": 3600, "max_window": 3600})
    command = [sys.executable, "-m", f"karbor_like.cmd.{program}", "--config-file", str(path)]
    ended = subprocess.run(
        command, env=processes.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert ended.returncode not in (os.EX_OK, None)
    assert "[trigger] min_window 900, max_window 3600, min_interval" in ended.stdout + ended.stderr
