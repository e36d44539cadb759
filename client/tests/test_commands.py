"""The commands, run by OpenStackClient in this process."""

import json
import re
from urllib import parse

import pytest
from keystoneauth1 import session as keystone

from karbor_like_client.osc import base
from samples import CHECKPOINT, CHECKPOINTS, PLAN, PROVIDER, RESTORE, VOLUME

OTHER = {**PLAN, "id": "11111111-1111-4111-8111-222222222222"}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    """Repeat requests at once."""
    monkeypatch.setattr(keystone.time, "sleep", lambda seconds: None)


def not_an_id(cloud, path):
    cloud.refuse("GET", path, 400, "request.invalid", "not a UUID")


@pytest.mark.parametrize("output", ["json", "yaml", "csv", "table", "value"])
def test_output_formats(cloud, run, output):
    cloud.answer("GET", "/plans", {"plans": [PLAN]})
    result = run("plan", "list", "-f", output)
    assert (result.code, PLAN["id"] in result.out) == (0, True), result.err


def test_a_list_asks_only_for_what_it_shows(cloud, run):
    link = [{"rel": "next", "href": "x"}]
    cloud.answer(
        "GET",
        "/plans",
        {"plans": [PLAN], "plans_links": link},
        limit="1",
        sort="name:asc",
        marker=OTHER["id"],
        name="n",
    )
    listed = run(
        "plan", "list", "--limit", "1", "--sort", "name:asc", "--marker", OTHER["id"], "--name", "n", "-f", "json"
    )
    expected = {
        "Id": PLAN["id"],
        "Name": "nightly",
        "Description": None,
        "Provider id": PROVIDER,
        "Status": "suspended",
    }
    assert listed.json == [expected]
    calls = [call for call in cloud.mock.calls if "/plans" in (call.request.url or "")]
    assert len(calls) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_is_a_positive_number(run, limit):
    result = run("plan", "list", "--limit", limit)
    assert result.code != 0
    assert "--limit" in result.err


def test_a_name_is_as_good_as_an_id(cloud, run):
    not_an_id(cloud, "/plans/nightly")
    cloud.answer("GET", "/plans", {"plans": [PLAN]}, name="nightly")
    cloud.answer("GET", f"/plans/{PLAN['id']}", {"plan": PLAN})
    assert run("plan", "show", "nightly", "-f", "json").json["id"] == PLAN["id"]


@pytest.mark.parametrize("name", ["#1", "?limit=1", "..", ".", "a/b", "50%d", ""])
def test_a_name_may_have_any_characters(cloud, run, name):
    plan = {**PLAN, "name": name}
    # The API refuses what is not an id; a path with dots is that of the list.
    cloud.refuse("GET", f"/plans/{parse.quote(name, safe='')}", 400, "request.invalid", "is not a UUID")
    cloud.answer("GET", "/plans", {"plans": [plan]})
    cloud.answer("GET", "/plans/", {"plans": [plan]})
    cloud.answer("GET", f"/plans/{PLAN['id']}", {"plan": plan})
    assert run("plan", "show", name, "-f", "json").json["id"] == PLAN["id"]


@pytest.mark.parametrize("text", ["#1", ""])
def test_a_text_that_cannot_be_an_id_shows_nothing(cloud, run, text):
    cloud.answer("GET", "/restores/", {"restores": [RESTORE]})
    cloud.refuse("GET", f"/restores/{parse.quote(text, safe='')}", 400, "request.invalid", "is not a UUID")
    assert (run("restore", "show", text).code, run("restore", "show", text).out) == (1, "")


def test_a_trigger_shows_its_next_runs(cloud, run):
    runs = ["2030-01-01T01:00:00.000000", "2030-01-02T01:00:00.000000"]
    shown = {"id": PLAN["id"], "name": "t", "type": "time", "properties": {}, "next_runs": runs}
    cloud.answer("GET", f"/triggers/{PLAN['id']}", {"trigger_info": shown})
    assert run("trigger", "show", PLAN["id"], "-f", "json").json["next_runs"] == runs


def test_an_ambiguous_name_lists_the_candidates(cloud, run):
    not_an_id(cloud, "/plans/nightly")
    cloud.answer("GET", "/plans", {"plans": [PLAN, OTHER]})
    result = run("plan", "delete", "nightly")
    assert result.code == 1
    assert f"{PLAN['id']}, {OTHER['id']}" in result.err


def test_an_unknown_name_says_where_the_known_ones_are(cloud, run):
    not_an_id(cloud, "/triggers/daily")
    cloud.answer("GET", "/triggers", {"triggers": []})
    result = run("trigger", "show", "daily")
    assert result.code == 1
    assert "there is no trigger 'daily': 'openstack data protection trigger list' shows" in result.err


def test_of_several_objects_the_others_are_deleted_after_an_error(cloud, run):
    cloud.refuse("DELETE", f"/plans/{PLAN['id']}", 409, "plan.in_use", "used by scheduled operations: x")
    cloud.answer("DELETE", f"/plans/{OTHER['id']}")
    result = run("plan", "delete", PLAN["id"], OTHER["id"])
    assert result.code == 1
    assert f"failed to delete {PLAN['id']}: used by scheduled operations: x (request req-1)" in result.err
    assert "failed to delete 1 of 2 plans" in result.err
    assert [call.request.method for call in cloud.mock.calls].count("DELETE") == 2


@pytest.mark.parametrize(
    ("status", "type_", "fields", "advice"),
    [
        (404, "route.not_found", [], "the API of this cloud is older than this command"),
        (404, None, [], "the API of this cloud is older than this command"),
        (404, "plan.not_found", [], None),
        (400, "request.invalid", [{"rule": "additionalProperties"}], "or the API of this cloud is older"),
        (403, "policy.not_authorized", [], "ask an administrator"),
    ],
)
def test_errors_say_what_to_do(cloud, run, status, type_, fields, advice):
    cloud.refuse("GET", f"/plans/{PLAN['id']}", status, type_, "refused", fields=fields)
    result = run("plan", "show", PLAN["id"])
    assert result.code == 1
    assert "refused (request req-1)" in result.err
    assert advice is None or advice in result.err
    assert "Traceback" not in result.err


def test_a_cloud_without_the_service(cloud, run):
    cloud.mock.reset()
    cloud.endpoint = False
    cloud.start()
    result = run("plan", "list")
    assert result.code == 1
    assert "the catalogue has no endpoint of data-protect" in result.err


def test_a_plan_is_created_after_its_resources_were_found(cloud, run):
    instances = f"/protectables/{VOLUME}/instances"
    cloud.answer("GET", f"{instances}/77", {"instance": {"id": "77"}})
    cloud.refuse("GET", f"{instances}/78", 404, "resource.not_found", "no")
    cloud.answer("POST", "/plans", {"plan": PLAN})
    parameters = f"resource_type={VOLUME},backup_name=copy"
    created = run(
        "plan", "create", "nightly", PROVIDER, f"77={VOLUME}=data-1", "--parameters", parameters, "-f", "json"
    )
    assert created.json["resources"] == "[]"
    expected = {
        "name": "nightly",
        "description": None,
        "provider_id": PROVIDER,
        "resources": [{"id": "77", "type": VOLUME, "name": "data-1"}],
        "parameters": {VOLUME: {"backup_name": "copy"}},
    }
    assert cloud.bodies("POST")[-1] == {"plan": expected}
    missing = run("plan", "create", "nightly", PROVIDER, f"78={VOLUME}=data-2")
    assert missing.code == 1
    assert f"there is no {VOLUME} 78" in missing.err


@pytest.mark.parametrize(
    ("resources", "message"),
    [("77", "'77' is not of the form"), (f"77={VOLUME}=x={{", "is not JSON")],
)
def test_malformed_resources(run, resources, message):
    result = run("plan", "create", "nightly", PROVIDER, resources)
    assert result.code == 1
    assert message in result.err


def test_waiting_for_a_checkpoint_prints_lines_without_a_terminal(cloud, run, monkeypatch):
    monkeypatch.setattr("karbor_like_client.v1.work.INTERVAL", 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    done = {"status": "available", "progress": {"bytes_done": 20_000_000, "bytes_total": 20_000_000, "resources": {}}}
    cloud.answer("POST", CHECKPOINTS, {"checkpoint": CHECKPOINT})
    cloud.answer("GET", f"{CHECKPOINTS}/{CHECKPOINT['id']}", {"checkpoint": {**CHECKPOINT, **done}})
    result = run("checkpoint", "create", PROVIDER, PLAN["id"], "--extra_info", "why=because", "--wait", "-f", "json")
    assert result.json["status"] == "available"
    assert "plan_id" not in result.json, "a member of the request"
    assert result.json["protection_plan"] == f"Name: nightly\nId: {PLAN['id']}"
    assert cloud.bodies("POST")[-1] == {"checkpoint": {"plan_id": PLAN["id"], "extra_info": {"why": "because"}}}
    assert result.err.splitlines() == [
        f"checkpoint {CHECKPOINT['id']}: protecting, 0 bytes",
        f"checkpoint {CHECKPOINT['id']}: available, 20.0 MB of 20.0 MB",
    ]


def test_an_operation_that_fails_while_a_command_waits_fails_the_command(cloud, run):
    cloud.answer("POST", CHECKPOINTS, {"checkpoint": {**CHECKPOINT, "status": "error", "reason": "the bank is full"}})
    result = run("checkpoint", "create", PROVIDER, PLAN["id"], "--wait")
    assert result.code == 1
    assert "error: the bank is full" in result.err


def test_a_restore_of_some_resources(cloud, run):
    cloud.answer("GET", f"{CHECKPOINTS}/{CHECKPOINT['id']}", {"checkpoint": CHECKPOINT})
    cloud.answer("POST", "/restores", {"restore": RESTORE})
    arguments = ["--resource", "data-1", "--no-children", "--map", "web=99", "--dry-run"]
    assert run("restore", "create", PROVIDER, CHECKPOINT["id"], *arguments).code == 0
    assert cloud.bodies("POST")[-1] == {
        "restore": {
            "provider_id": PROVIDER,
            "checkpoint_id": CHECKPOINT["id"],
            "parameters": {"OS::Nova::Server#88": {"map_to": "99"}},
            "resources": [f"{VOLUME}#77"],
            "with_children": False,
            "dry_run": True,
        }
    }


def test_debugging_shows_no_password(cloud, run):
    cloud.answer("POST", "/restores", {"restore": RESTORE})
    target = ["--restore-target", "http://other.test/v3", "--restore-username", "bob", "--restore-password=hunter22"]
    result = run("restore", "create", PROVIDER, CHECKPOINT["id"], *target, "--debug")
    assert result.code == 0
    assert cloud.bodies("POST")[-1]["restore"]["restore_auth"]["password"] == "hunter22"
    assert "/restores: not logged" in result.err
    assert "hunter22" not in result.out + result.err


def test_a_restore_with_its_plan(cloud, run):
    cloud.answer("POST", "/restores", {"restore": {**RESTORE, "restored_plan_id": PLAN["id"]}})
    result = run("restore", "create", PROVIDER, CHECKPOINT["id"], "--with-plan", "-f", "json")
    assert json.loads(result.out)["restored_plan_id"] == PLAN["id"]
    assert cloud.bodies("POST")[-1]["restore"] == {
        "provider_id": PROVIDER,
        "checkpoint_id": CHECKPOINT["id"],
        "parameters": {},
        "with_plan": True,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resource", "data-9"], "the checkpoint has no resource 'data-9': it has OS::Cinder::Volume#77 (data-1)"),
        (["--map", "web"], "'web' is not of the form"),
        (["--no-children"], "name the resources to restore with --resource"),
        (["--restore_target", "http://x"], "--restore-target needs --restore-username"),
        (["--parameters", "restore_name=x"], "lacks resource_type=<type>"),
        (["--parameters-json", "[]"], "is not a JSON object"),
        (["--parameters-json", "{}", "--parameters", "a=b"], "not both"),
    ],
)
def test_mistakes_in_a_restore(cloud, run, arguments, message):
    cloud.answer("GET", f"{CHECKPOINTS}/{CHECKPOINT['id']}", {"checkpoint": CHECKPOINT})
    result = run("restore", "create", PROVIDER, CHECKPOINT["id"], *arguments)
    assert result.code == 1
    assert message in result.err


def test_patterns_may_have_commas(cloud, run):
    cloud.answer(
        "POST", "/triggers", {"trigger_info": {"id": PLAN["id"], "name": "t", "properties": {"window": "900"}}}
    )
    run("trigger", "create", "t", "time", "format=crontab,pattern=0 1,13 * * *,window=900,timezone=Europe/Madrid")
    properties = {"format": "crontab", "pattern": "0 1,13 * * *", "window": 900, "timezone": "Europe/Madrid"}
    assert cloud.bodies("POST")[-1] == {"trigger_info": {"name": "t", "type": "time", "properties": properties}}


def test_names_in_the_definition_of_a_scheduled_operation(cloud, run):
    for noun, found in (("plans", PLAN), ("providers", {"id": PROVIDER, "name": "files"})):
        not_an_id(cloud, f"/{noun}/{found['name']}")
        cloud.answer("GET", f"/{noun}", {noun: [found]})
    operation = {"id": OTHER["id"], "name": "x", "operation_definition": {"plan_id": PLAN["id"]}}
    cloud.answer("POST", "/scheduled_operations", {"scheduled_operation": operation})
    definition = "plan_id=nightly,provider_id=files,max_backups=7"
    created = run("scheduledoperation", "create", "x", "retention_protect", OTHER["id"], definition, "-f", "json")
    assert json.loads(created.json["operation_definition"]) == {"plan_id": PLAN["id"]}
    sent = cloud.bodies("POST")[-1]["scheduled_operation"]["operation_definition"]
    assert sent == {"plan_id": PLAN["id"], "provider_id": PROVIDER, "max_backups": "7"}


def test_a_scheduled_operation_runs_at_once(cloud, run):
    started = {"id": OTHER["id"], "scheduled_operation_id": PLAN["id"], "status": "started", "reason": None}
    cloud.answer("POST", f"/scheduled_operations/{PLAN['id']}/action", {"run": started})
    shown = run("scheduledoperation", "run", PLAN["id"], "-f", "json").json
    assert (shown["id"], shown["status"], shown["scheduled_operation_id"]) == (OTHER["id"], "started", PLAN["id"])
    assert cloud.bodies("POST")[-1] == {"run": {}}
    assert cloud.mock.calls[-1].request.headers["Idempotency-Key"]


def test_the_overview_is_shown(cloud, run):
    cloud.answer("GET", "/overview", {"overview": {"plans": {"total": 2, "by_status": {"started": 2}}}})
    assert run("overview", "show", "-f", "json").json == {"plans": {"total": 2, "by_status": {"started": 2}}}


def test_unprotected_instances_are_listed(cloud, run):
    last = {"id": CHECKPOINT["id"], "provider_id": PROVIDER, "plan_id": PLAN["id"], "created_at": None}
    one = {"id": "v1", "type": "OS::Cinder::Volume", "name": "a", "dependent_resources": [], "extra_info": None}
    answer = {"instances": [{**one, "protected": True, "last_checkpoint": last}], "counts": {}}
    cloud.answer("GET", "/protectables/OS::Cinder::Volume/instances", answer, protected="true")
    arguments = ("OS::Cinder::Volume", "--protected", "true", "--long", "-f", "json")
    (shown,) = run("protectable", "instance", "list", *arguments).json
    assert (shown["Protected"], shown["Last checkpoint"]) == (True, last)


def test_retention_is_shown(cloud, run):
    decision = {"id": CHECKPOINT["id"], "timestamp": "2031-05-06T07:08:09+00:00", "delete": True, "reason": "too old"}
    cloud.answer("GET", f"/scheduled_operations/{PLAN['id']}/retention", {"retention": {"checkpoints": [decision]}})
    (shown,) = run("scheduledoperation", "retention", "show", PLAN["id"], "-f", "json").json
    assert (shown["Delete"], shown["Reason"]) == (True, "too old")


def test_copies_are_listed_with_their_originals(cloud, run):
    target = "55555555-5555-4555-8555-555555555555"
    pair = {"checkpoint_protect_id": CHECKPOINT["id"], "checkpoint_copy_id": OTHER["id"]}
    cloud.answer("POST", f"{CHECKPOINTS}/action", {"copy": {"target_provider_id": target, "checkpoint_id": [pair]}})
    copy = {**CHECKPOINT, "id": OTHER["id"], "status": "wait_copying"}
    cloud.answer("GET", f"/providers/{target}/checkpoints/{OTHER['id']}", {"checkpoint": copy})
    arguments = ["--target-provider", target, "--checkpoint", CHECKPOINT["id"]]
    (shown,) = run("checkpoint", "copy", PROVIDER, PLAN["id"], *arguments, "-f", "json").json
    assert list(shown.values()) == [CHECKPOINT["id"], OTHER["id"], target, "wait_copying"]
    sent = {"plan_id": PLAN["id"], "target_provider_id": target, "checkpoint_ids": [CHECKPOINT["id"]]}
    assert cloud.bodies("POST")[-1] == {"copy": sent}


def test_all_copies_are_awaited_and_all_failures_are_reported(cloud, run):
    originals = [CHECKPOINT["id"], OTHER["id"], PLAN["id"]]
    copies = [f"{number}" * 8 + "-0000-4000-8000-000000000000" for number in range(1, 4)]
    pairs = [{"checkpoint_protect_id": a, "checkpoint_copy_id": b} for a, b in zip(originals, copies, strict=True)]
    answer = {"copy": {"target_provider_id": PROVIDER, "checkpoint_id": pairs}}
    cloud.answer("POST", f"{CHECKPOINTS}/action", answer)
    failed = {"status": "error", "reason": "the bank is full"}
    cloud.answer("GET", f"{CHECKPOINTS}/{copies[0]}", {"checkpoint": {**CHECKPOINT, "id": copies[0], **failed}})
    cloud.refuse("GET", f"{CHECKPOINTS}/{copies[1]}", 404, "checkpoint.not_found", "it was deleted")
    done = {**CHECKPOINT, "id": copies[2], "status": "available"}
    cloud.answer("GET", f"{CHECKPOINTS}/{copies[2]}", {"checkpoint": done})
    result = run("checkpoint", "copy", PROVIDER, PLAN["id"], "--wait", "-f", "json")
    assert result.code == 1
    assert [(row["Copy id"], row["Status"]) for row in json.loads(result.out)] == [
        (copies[0], "error"),
        (copies[1], None),
        (copies[2], "available"),
    ]
    assert f"failed to copy {originals[0]}: checkpoint {copies[0]}: error: the bank is full" in result.err
    assert f"failed to copy {originals[1]}: it was deleted" in result.err
    assert "failed to copy 2 of 3 checkpoints" in result.err


def test_quotas_are_those_of_the_own_project_unless_another_is_named(cloud, run):
    use = {"id": "a" * 32, "plans": {"limit": 50, "in_use": 1, "reserved": 0}}
    cloud.answer("GET", f"/quotas/{'a' * 32}/detail", {"quota": use})
    assert run("quotas", "show", "--detail", "-f", "json").json["plans"] == "in_use = 1\nlimit = 50\nreserved = 0"
    cloud.answer("PUT", f"/quotas/{'b' * 32}", {"quota": {"plans": 60}})
    assert run("quotas", "update", "b" * 32, "--plans", "60", "-f", "json").json["plans"] == 60
    assert cloud.bodies("PUT") == [{"quota": {"plans": 60}}]


@pytest.mark.parametrize(
    "command",
    [("plan", "update", PLAN["id"]), ("trigger", "update", PLAN["id"]), ("quotas", "update", "b" * 32)],
)
def test_nothing_to_change(run, command):
    result = run(*command)
    assert result.code == 1
    assert "nothing to change: use" in result.err


def test_options_of_a_list_name_members():
    option = base.by("plan_id", "plan", "--plan")
    assert (tuple(option.flags), option.dest) == (("--plan_id", "--plan", "--plan-id"), "plan_id")


def test_commands_and_options_are_completed(run):
    result = run("complete", of="")
    words = dict(re.findall(r"^\s*cmds_(\w+)='(.*)'$", result.out, re.M))
    assert "protection" in words["data"].split()
    assert {"list", "show", "create", "delete", "update"} <= set(words["data_protection_plan"].split())
    assert {"--wait", "--dry-run"} <= set(words["data_protection_restore_create"].split())
