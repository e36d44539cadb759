"""Protect, restore, verify and delete through the endpoint, the queue, TaskFlow and the bank."""

import json
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.api import views
from karbor_like.api.progress import progress_of
from karbor_like.db.restores import RESTORES
from karbor_like.db.verifications import VERIFICATIONS
from tests.fixtures.metrics import Growth
from tests.functional.protection import plugins
from tests.functional.protection.site import PROVIDER, Site, order, until


def ended(kind: str, state: str, error_type: str = "") -> tuple[str, dict[str, str]]:
    return "karbor_like_operations_total", {"kind": kind, "state": state, "error_type": error_type}


def test_what_ends_is_counted(site: Site):
    site.cloud.plant({"a": ["b", "c", "d"], "b": [], "c": [], "d": [], "e": []})
    site.cloud.fault(**{"main:e": "fail"})
    growth = Growth(
        ended("protect", "succeeded"),
        ended("protect", "failed", "resource.failed"),
        ended("delete", "succeeded"),
        ("karbor_like_operation_bytes_total", {"kind": "protect", "measure": "logical"}),
        ("karbor_like_operation_bytes_total", {"kind": "protect", "measure": "stored"}),
        ("karbor_like_operation_duration_seconds_count", {"kind": "protect"}),
        ("karbor_like_operation_claims_total", {}),
        ("karbor_like_operations_running", {}),
    )
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.wait(site.protect("e")["id"], "error")
    site.delete(created)
    site.wait(created, "deleted")
    assert site.executor.wait_idle(240)
    assert growth.values == [1, 1, 1, 500, 150, 2, 3, 0]


def test_damage_is_counted_by_its_own_type(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"data" * 1000)
    growth = Growth(ended("verify", "failed", "checkpoint.damaged"))
    created = site.protect("a")["id"]
    site.wait(created, "available")
    store = site.env.providers.get(PROVIDER).bank.store
    (pack,) = [info.key for info in store.list("data/")]
    store.put(pack, b"garbage")
    assert site.wait_done(verification_id=site.verify(created)).status == "fail"
    assert growth.values == [1]


def test_protect_restore_delete(site: Site):
    site.cloud.plant({"a": ["b", "c"], "b": [], "c": ["d"], "d": []})

    created = site.protect("a", extra_info={"why": "because"})
    assert created["status"] == "protecting"
    assert json.loads(created["extra_info"]) == {"why": "because"}
    nodes, adjacency = json.loads(created["resource_graph"])
    assert [node[1] for node in nodes.values()] == ["b", "d", "c", "a"]
    assert adjacency == [["0x2", ["0x1"]], ["0x3", ["0x0", "0x2"]]]
    bank = site.env.providers.get(PROVIDER).bank
    assert bank.checkpoints.get(created["id"]).status == "protecting" or site.wait(created["id"], "available")

    row = site.wait(created["id"], "available", "error")
    assert (row.status, row.reason) == ("available", None)
    assert (row.logical_bytes, row.new_bytes, row.stored_bytes) == (400, 240, 120)
    found = bank.checkpoints.get(created["id"])
    assert found.status == "available"
    assert found.events[-1].detail["sizes"][f"{plugins.NODE}#a"] == {"logical": 100, "new": 60, "stored": 30}
    assert site.things() == []

    restore_id = site.restore(created["id"])
    log = site.wait_done(restore_id=restore_id)
    assert (log.status, log.error_info, log.credential) == ("success", None, None)
    restored = site.restored(restore_id)
    assert restored.status == "success"
    assert restored.resources_status == {f"{plugins.NODE}#new-{name}": "available" for name in "abcd"}
    assert restored.resources_reason == {f"{plugins.NODE}#new-{name}": "" for name in "abcd"}
    assert len(site.things()) == 4

    verification_id = site.verify(created["id"])
    assert site.wait_done(verification_id=verification_id).status == "success"
    assert site.verified(verification_id).resources_status == {f"{plugins.NODE}#{name}": "available" for name in "abcd"}
    # A main hook that reports no bytes has moved none.
    assert {row.bytes_total for row in site.resources(verification_id=verification_id).values()} == {0}

    site.delete(created["id"])
    assert site.checkpoint(created["id"]).status in ("deleting", "deleted")
    row = site.wait(created["id"], "deleted", "error-deleting")
    assert row.status == "deleted"
    assert row.deleted_at is not None
    with pytest.raises(exception.CheckpointNotFound):
        bank.checkpoints.get(created["id"])
    assert site.checkpoint(created["id"]).status == "deleted"


def test_hooks_run_in_the_order_of_the_contract(site: Site):
    # The group between implements only main: the order is transitive.
    site.cloud.plant({"a": [], "g": ["a", "b"], "b": [], "gg": ["g"], "top": []})
    tree = {"gtop": ["gmid"], "gmid": ["leaf"], "leaf": [], "node": ["child"], "child": []}
    site.cloud.plant(tree)

    created = site.protect("gtop", "node")
    assert site.wait(created["id"], "available", "error").status == "available"

    calls = site.cloud.calls()
    for name in ("node", "child", "leaf"):
        assert order(calls, *(f"protect:{hook}:{name}:{when}" for hook in plugins.HOOKS for when in ("begin", "end")))
    assert order(calls, "protect:prepare_begin:node:end", "protect:prepare_begin:child:begin")
    assert order(calls, "protect:prepare_finish:child:end", "protect:prepare_finish:node:begin")
    assert order(calls, "protect:complete:child:end", "protect:complete:node:begin")
    assert [call for call in calls if ":gtop" in call] == ["protect:main:gtop:begin", "protect:main:gtop:end"]


def test_a_parent_s_complete_sees_the_restored_resources_of_its_descendants(site: Site):
    site.cloud.plant({"top": ["gmid"], "gmid": ["leaf"], "leaf": []} | {"top": ["mid"], "mid": ["leaf"]})
    created = site.protect("top")
    site.wait(created["id"], "available")

    site.wait_done(restore_id=site.restore(created["id"]))

    assert "complete-restored:top:new-leaf,new-mid,new-top" in site.cloud.calls()


def test_a_failing_resource_fails_the_checkpoint_and_leaves_nothing(site: Site):
    site.cloud.plant({"a": ["b", "c"], "b": [], "c": []})
    site.cloud.fault(**{"main:b": "fail"})

    created = site.protect("a")
    row = site.wait(created["id"], "available", "error")

    reason = f"{plugins.NODE}#b (name of b): step of main: the cloud says no to main:b"
    assert (row.status, row.reason) == ("error", reason)
    log = site.operation(checkpoint_id=created["id"])
    assert (log.status, log.queue_state, log.error_info) == ("error", "done", reason)
    resources = site.resources(checkpoint_id=created["id"])
    assert (resources["b"].status, resources["b"].step) == ("error", "step of main")
    assert resources["b"].reason == "step of main: the cloud says no to main:b"
    assert site.things() == []
    cleaned = [call for call in site.cloud.calls() if ":cleanup:" in call]
    assert cleaned.index("protect:cleanup:a") == 2, "children first"
    assert site.env.providers.get(PROVIDER).bank.checkpoints.get(created["id"]).status == "error"


def test_a_bug_in_a_plugin_is_a_clear_error_too(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "bug"})

    row = site.wait(site.protect("a")["id"], "available", "error")

    assert row.status == "error"
    assert "unexpected KeyError" in row.reason


def test_siblings_stop_when_one_fails(site: Site):
    site.cloud.plant({"a": ["b", "c"], "b": [], "c": []})
    site.cloud.fault(**{"main:b": "wait, fail", "main:c": "wait forever"})

    created = site.protect("a")
    until(site.cloud.calls, lambda calls: "protect:main:c:begin" in calls, 30, "both to run")
    (site.cloud.path / "go").touch()
    row = site.wait(created["id"], "available", "error")

    assert row.reason.startswith(f"{plugins.NODE}#b")
    assert "stopped because" in site.resources(checkpoint_id=created["id"])["c"].reason


def test_a_cancelled_operation_stops_and_is_undone(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "wait"})
    growth = Growth(ended("protect", "cancelled", "operation.cancelled"))
    created = site.protect("a")
    operation_id = site.operation(checkpoint_id=created["id"]).id

    site.endpoint.cancel(site.context(), operation_id=operation_id)

    row = site.wait(created["id"], "available", "error")
    assert (row.status, row.reason) == ("error", "cancelled")
    assert site.things() == []
    assert site.executor.wait_idle(240)
    assert growth.values == [1]


def test_a_clean_up_that_fails_is_retried(site: Site):
    site.cloud.plant({"a": []})
    site.cloud.fault(**{"main:a": "fail", "cleanup:a": "fail"})
    created = site.protect("a")
    while site.cloud.calls().count("protect:cleanup:a") < 2:
        pass
    site.cloud.fault(**{"main:a": "fail"})

    row = site.wait(created["id"], "error")

    assert "left behind" not in row.reason
    assert site.things() == []


def test_parameters_of_a_type_are_overlaid_by_those_of_a_resource(site: Site):
    site.cloud.plant({"a": [], "b": []})
    parameters = {plugins.NODE: {"size": 1}, f"{plugins.NODE}#b": {"size": 2}}
    plan_id = site.plan("a", "b", parameters=parameters)

    site.wait(site.protect(plan_id=plan_id)["id"], "available")

    assert {call for call in site.cloud.calls() if call.startswith("parameters:")} == {
        'parameters:{"size":1}',
        'parameters:{"size":2}',
    }


def test_a_failed_restore_says_which_resource_and_why(site: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a")
    site.wait(created["id"], "available")
    site.cloud.fault(**{"complete:b": "fail"})

    restore_id = site.restore(created["id"])
    site.wait_done(restore_id=restore_id)

    row = site.restored(restore_id)
    assert row.status == "fail"
    assert row.resources_status[f"{plugins.NODE}#new-b"] == "error"
    assert row.resources_reason[f"{plugins.NODE}#new-b"] == "step of complete: the cloud says no to complete:b"
    assert site.things() == []
    assert site.checkpoint(created["id"]).status == "available"


def test_remarks_are_shown_although_nothing_failed(site: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a")
    site.wait(created["id"], "available")
    site.cloud.fault(**{"main:b": "remark"})

    restore_id = site.restore(created["id"])
    site.wait_done(restore_id=restore_id)

    row = site.restored(restore_id)
    assert (row.status, row.reason) == ("success", None)
    assert row.resources_reason == {
        f"{plugins.NODE}#new-a": "",
        f"{plugins.NODE}#new-b": "main:b is not as it was; the moon has set",
    }


def as_shown(site: Site, noun: str, request_id: str) -> dict[str, Any]:
    """Return a restore or a verification as the API shows it."""
    repository: Any = {"restore": RESTORES, "verification": VERIFICATIONS}[noun]
    view = {"restore": views.restore, "verification": views.verification}[noun]
    with site.env.database.reader() as session:
        progress = progress_of(session, f"{noun}_id", [request_id])
        return view(repository.get(session, request_id), progress[request_id])


def test_a_restore_shows_its_resources_while_it_runs(site: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.cloud.fault(**{"complete:b": "wait"})

    restore_id = site.restore(created)

    def shown() -> dict[str, Any]:
        return as_shown(site, "restore", restore_id)

    found = until(shown, lambda found: len(found["resources_status"]) == 2, 30, "both resources to be made")
    assert found["status"] == "in_progress"
    keys = [f"{plugins.NODE}#new-{name}" for name in "ab"]
    assert found["resources_status"] == dict.fromkeys(keys, "restoring")
    assert found["resources_reason"] == dict.fromkeys(keys, "")
    (site.cloud.path / "go").touch()
    assert site.wait_done(restore_id=restore_id).status == "success"
    found = shown()
    assert found["resources_status"] == dict.fromkeys(keys, "available")
    assert found["resources_reason"] == dict.fromkeys(keys, "")


def test_a_verification_shows_its_resources_while_it_runs(site: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    created = site.protect("a")["id"]
    site.wait(created, "available")
    site.cloud.fault(**{"verify:b": "wait"})

    verification_id = site.verify(created)

    def shown() -> dict[str, Any]:
        return as_shown(site, "verification", verification_id)

    running = {f"{plugins.NODE}#a": "available", f"{plugins.NODE}#b": "verifying"}
    found = until(shown, lambda found: found["resources_status"] == running, 30, f"{running}")
    assert found["status"] == "in_progress"
    (site.cloud.path / "go").touch()
    assert site.wait_done(verification_id=verification_id).status == "success"
    assert shown()["resources_status"] == dict.fromkeys(running, "available")


def test_a_failed_deletion_can_be_retried(site: Site):
    site.cloud.plant({"a": []})
    created = site.protect("a")
    site.wait(created["id"], "available")
    site.cloud.fault(**{"main:a": "fail"})
    site.delete(created["id"])
    assert site.wait(created["id"], "error-deleting", "deleted").status == "error-deleting"
    site.cloud.fault()

    site.delete(created["id"])

    assert site.wait(created["id"], "error-deleting", "deleted").status == "deleted"
