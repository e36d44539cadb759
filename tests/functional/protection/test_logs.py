"""The log in JSON of an operation's transitions, and the silence of a service that has nothing to do."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_log import formatters

from karbor_like import logs
from karbor_like.clock import ManualClock
from karbor_like.heartbeat import Heartbeat
from karbor_like.operationengine.rpo import Objectives
from karbor_like.operationengine.scheduler import Scheduler
from karbor_like.protection.housekeeping import Housekeeping
from karbor_like.triggers import loader
from karbor_like.watchdog import Watchdog
from tests.functional.protection.site import PROVIDER, Site, running

CATALOGUE = [{"type": "volume", "endpoints": []}]


@pytest.fixture
def lines() -> Iterator[Any]:
    """A function that returns the lines of this project so far, parsed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatters.JSONFormatter())
    logs.protect(handler, ManualClock())
    root = logging.getLogger("karbor_like")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_each_transition_names_the_operation_its_project_and_its_request(site: Site, lines):
    site.cloud.plant({"a": [], "b": []})
    site.cloud.fault(**{"main:b": "fail"})
    context = site.context(request_id="req-1", service_catalog=CATALOGUE)
    good, bad = (site.protect(name, context=context)["id"] for name in "ab")
    site.wait(good, "available")
    site.wait(bad, "error")
    assert site.executor.wait_idle(240)

    transitions = [line["extra"] for line in lines() if "state" in line["extra"]]
    for checkpoint_id, status, error_type in ((good, "available", None), (bad, "error", "resource.failed")):
        found = [each for each in transitions if each["checkpoint_id"] == checkpoint_id]
        assert [each["state"] for each in found] == ["queued", "running", "done"]
        assert (found[1]["attempt"], found[2]["status"], found[2]["error_type"]) == (1, status, error_type)
        for each in found:
            assert each["operation_id"] == site.operation(checkpoint_id=checkpoint_id).id
            assert (each["operation_type"], each["provider_id"]) == ("protect", PROVIDER)
            assert (each["project_id"], each["request_id"]) == (context.project_id, "req-1")


def test_each_line_of_the_threads_of_an_operation_names_it_and_no_line_has_secrets(site: Site, lines):
    site.cloud.plant({"b": []})
    site.cloud.fault(**{"main:b": "fail"})
    created = site.protect("b", context=site.context(service_catalog=CATALOGUE))["id"]
    site.wait(created, "error")
    (line,) = [line for line in lines() if line["levelname"] == "ERROR" and "failed" in line["message"]]
    assert line["context"]["resource_uuid"] == site.operation(checkpoint_id=created).id
    assert line["context"]["project_id"] == site.context().project_id
    assert "service_catalog" not in line["context"]
    assert "alice's token" not in json.dumps(lines())


def test_nothing_is_logged_while_nothing_happens(tmp_path: Path, files: Path, lines):
    with running(Site(tmp_path, files)) as site:
        clock = ManualClock()
        dog = Watchdog(clock, 60)
        types = loader.trigger_types()
        jobs = [
            Housekeeping(site.env).run_due,
            site.executor.poll,
            site.executor.renew_leases,
            Heartbeat(site.conf, site.env.database, clock, "karbor-protection", dog).beat,
            Scheduler(site.conf, site.env.database, clock, types).fire,
            Objectives(site.conf, site.env.database, clock, types).check,
            dog.check,
        ]
        before = len(lines())
        for _ in range(3):
            for job in jobs:
                job()
            clock.advance(3600)
        assert lines()[before:] == []
