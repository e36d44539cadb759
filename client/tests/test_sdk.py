"""The service of openstacksdk."""

import socket
from datetime import UTC, datetime

import openstack
import pytest
import requests
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import session as keystone
from openstack import exceptions

from karbor_like_client import errors
from karbor_like_client.v1.proxy import TIMEOUT
from samples import API, CHECKPOINT, CHECKPOINTS, CREDENTIALS, PLAN, PROVIDER


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    """Repeat requests at once."""
    monkeypatch.setattr(keystone.time, "sleep", lambda seconds: None)


def test_the_service_can_be_named_in_the_configuration_of_a_cloud(cloud):
    auth = {name.removeprefix("OS_").lower(): value for name, value in CREDENTIALS.items()}
    connection = openstack.connect(
        load_yaml_config=False, load_envvars=False, auth=auth, vendor_hook="karbor_like_client:add_to"
    )
    cloud.answer("GET", f"/plans/{PLAN['id']}", {"plan": PLAN})
    assert connection.data_protection.get_plan(PLAN["id"]).name == "nightly"
    assert connection.data_protect is connection.data_protection


def test_lists_follow_pages_with_markers_on_the_same_address(cloud, proxy):
    second = {**PLAN, "id": "11111111-1111-4111-8111-222222222222"}
    link = [{"rel": "next", "href": "https://unreachable.test/plans?marker=x"}]
    cloud.answer("GET", "/plans", {"plans": [second]}, status="suspended", marker=PLAN["id"])
    cloud.answer("GET", "/plans", {"plans": [PLAN], "plans_links": link}, status="suspended")
    assert [plan.id for plan in proxy.plans(status="suspended")] == [PLAN["id"], second["id"]]


def test_filters_have_the_names_of_the_api(cloud, proxy):
    cloud.answer("GET", "/restores", {"restores": []}, all_tenants="True", project_id="p", sort="id:asc")
    assert list(proxy.restores(all_projects=True, project_id="p", sort="id:asc")) == []


def test_a_name_that_several_objects_have_lists_them(cloud, proxy):
    other = {**PLAN, "id": "11111111-1111-4111-8111-222222222222"}
    cloud.refuse("GET", "/plans/nightly", 400, "request.invalid", "not a UUID")
    cloud.answer("GET", "/plans", {"plans": [PLAN, other, {**PLAN, "id": "x", "name": "nightly 2"}]}, name="nightly")
    with pytest.raises(exceptions.DuplicateResource, match=f"2 objects.*{PLAN['id']}, {other['id']}"):
        proxy.find_plan("nightly")


def test_a_name_without_object(cloud, proxy):
    cloud.refuse("GET", "/plans/nightly", 400, "request.invalid", "not a UUID")
    cloud.answer("GET", "/plans", {"plans": []})
    assert proxy.find_plan("nightly") is None
    with pytest.raises(exceptions.NotFoundException):
        proxy.find_plan("nightly", ignore_missing=False)


def test_members_are_typed(cloud, proxy):
    cloud.answer("GET", f"{CHECKPOINTS}/{CHECKPOINT['id']}", {"checkpoint": {**CHECKPOINT, "of_tomorrow": 1}})
    found = proxy.get_checkpoint(PROVIDER, CHECKPOINT["id"])
    assert found.created_at == datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    assert found.created_on == "2031-05-06"
    assert found.extra_info == {"created_by": "manual"}
    assert found.resource_graph[1] == []
    assert found.of_tomorrow == 1
    assert found.raw() == {**CHECKPOINT, "of_tomorrow": 1}


def test_times_without_a_zone_are_utc(cloud, proxy):
    log = {"id": PLAN["id"], "started_at": "2031-05-06T07:08:09.000001", "ended_at": None}
    cloud.answer("GET", "/operation_logs", {"operation_logs": [log]})
    (found,) = proxy.operation_logs()
    assert found.started_at == datetime(2031, 5, 6, 7, 8, 9, 1, tzinfo=UTC)
    assert found.ended_at is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (424, errors.ApiError),
    ],
)
def test_errors_have_the_type_of_the_api(cloud, proxy, status, kind):
    fields = [{"path": "plan.name", "rule": "minLength", "message": "too short"}]
    cloud.refuse("PUT", f"/plans/{PLAN['id']}", status, "plan.not_suspended", "it is started", fields=fields)
    with pytest.raises(kind) as caught:
        proxy.update_plan(PLAN["id"], name="x")
    assert (caught.value.type, caught.value.fields) == ("plan.not_suspended", fields)
    assert str(caught.value) == "it is started (request req-1)"


def test_a_page_of_a_proxy_is_an_error_too(cloud, proxy):
    cloud.mock.get(f"{API}/plans", body="<html>no", status=502, content_type="text/html")
    with pytest.raises(errors.ApiError) as caught:
        list(proxy.plans())
    assert (caught.value.status_code, caught.value.type, str(caught.value)) == (502, None, "Bad Gateway")


def test_an_attempt_is_repeated_with_the_same_key(cloud, proxy):
    cloud.mock.post(f"{API}{CHECKPOINTS}", body=requests.ConnectionError("reset"))
    cloud.refuse("POST", CHECKPOINTS, 503, "service.unavailable", "later")
    cloud.answer("POST", CHECKPOINTS, {"checkpoint": CHECKPOINT})
    created = proxy.create_checkpoint(PROVIDER, plan_id=PLAN["id"])
    keys = [
        call.request.headers["Idempotency-Key"]
        for call in cloud.mock.calls
        if call.request.url == f"{API}{CHECKPOINTS}"
    ]
    assert len(keys) == 3
    assert set(keys) == {created.idempotency_key}
    assert cloud.bodies("POST")[-1] == {"checkpoint": {"plan_id": PLAN["id"]}}


def test_another_object_has_another_key_unless_it_is_given(cloud, proxy):
    cloud.answer("POST", CHECKPOINTS, {"checkpoint": CHECKPOINT})
    first, second = (proxy.create_checkpoint(PROVIDER, plan_id=PLAN["id"]).idempotency_key for _ in range(2))
    assert first != second
    assert proxy.create_checkpoint(PROVIDER, plan_id=PLAN["id"], idempotency_key="mine").idempotency_key == "mine"


def test_what_is_not_idempotent_is_not_repeated(cloud, proxy):
    cloud.refuse("POST", "/plans", 503, "service.unavailable", "later")
    with pytest.raises(errors.ApiError, match="later"):
        proxy.create_plan(name="x", provider_id=PROVIDER, resources=[])
    assert len(cloud.bodies("POST")) == 1


def states(cloud, *states):
    for state in states:
        cloud.answer("GET", f"{CHECKPOINTS}/{CHECKPOINT['id']}", {"checkpoint": {**CHECKPOINT, **state}})


def test_waiting_shows_bytes(cloud, proxy):
    states(
        cloud,
        {"progress": {"bytes_done": 0, "bytes_total": None, "resources": {}, "queue": {"position": 1, "length": 2}}},
        {"progress": {"bytes_done": 5, "bytes_total": 10, "resources": {"a#b": {"step": "reading"}}}},
        {"status": "available", "progress": {"bytes_done": 10, "bytes_total": 10, "resources": {}}},
    )
    seen = []
    checkpoint = proxy.get_checkpoint(PROVIDER, CHECKPOINT["id"])
    done = proxy.wait_for_checkpoint(checkpoint, progress=seen.append, interval=0)
    assert done.status == "available"
    assert [(now.bytes_done, now.bytes_total) for now in seen] == [(0, None), (5, 10), (10, 10)]
    assert [now.queue for now in seen] == [{"position": 1, "length": 2}, None, None]
    assert seen[1].resources == {"a#b": {"step": "reading"}}


def test_waiting_for_a_failure_raises_its_reason(cloud, proxy):
    states(cloud, {"status": "error", "reason": "the bank is full"})
    with pytest.raises(errors.OperationFailed, match="error: the bank is full") as caught:
        proxy.wait_for_checkpoint(proxy.get_checkpoint(PROVIDER, CHECKPOINT["id"]), interval=0)
    assert caught.value.resource.id == CHECKPOINT["id"]


def test_waiting_has_a_limit(cloud, proxy):
    states(cloud, {})
    with pytest.raises(exceptions.ResourceTimeout, match="still 'protecting' after 0 seconds"):
        proxy.wait_for_checkpoint(proxy.get_checkpoint(PROVIDER, CHECKPOINT["id"]), interval=0, wait=0)


def test_waiting_for_a_deletion(cloud, proxy):
    states(cloud, {"status": "deleting"}, {"status": "deleting"}, {"status": "deleted"})
    checkpoint = proxy.get_checkpoint(PROVIDER, CHECKPOINT["id"])
    assert proxy.wait_for_deleted_checkpoint(checkpoint, interval=0).status == "deleted"


def test_a_disabled_service_is_changed_without_a_wrapping_member(cloud, proxy):
    service = {"id": 7, "binary": "karbor-operationengine", "host": "h", "status": "disabled"}
    cloud.answer("PUT", "/os-services/7", {"service": service})
    assert proxy.disable_service("7", "new disks").status == "disabled"
    assert cloud.bodies("PUT") == [{"status": "disabled", "disabled_reason": "new disks"}]


def test_an_operation_is_disabled_although_it_is_shown_as_enabled(cloud, proxy):
    operation = {"id": PLAN["id"], "name": "x", "enabled": True}
    cloud.answer("GET", "/scheduled_operations", {"operations": [operation]})
    cloud.answer("PUT", f"/scheduled_operations/{PLAN['id']}", {"scheduled_operation": {**operation, "enabled": False}})
    (found,) = proxy.scheduled_operations()
    assert proxy.update_scheduled_operation(found, enabled=False).enabled is False
    assert cloud.bodies("PUT") == [{"scheduled_operation": {"enabled": False}}]


def test_unprotected_resources_and_their_number_are_one_request(cloud, proxy):
    one = {"id": "v1", "type": "OS::Cinder::Volume", "name": "a", "protected": False, "last_checkpoint": None}
    answer = {"instances": [one], "counts": {"protected": 2, "unprotected": 3}}
    cloud.answer("GET", "/protectables/OS::Cinder::Volume/instances", answer, protected="false", limit="1")
    (found,), counts = proxy.get_unprotected("OS::Cinder::Volume", limit=1)
    assert (found.id, found.name, found.protected, counts) == ("v1", "a", False, answer["counts"])


def test_the_overview_is_one_request(cloud, proxy):
    cloud.answer("GET", "/overview", {"overview": {"storage": {"stored_bytes": 5}, "new_member": 1}})
    shown = proxy.get_overview()
    assert (shown.storage, shown.raw()["new_member"]) == ({"stored_bytes": 5}, 1)


def test_a_run_that_is_repeated_keeps_its_key(cloud, proxy):
    path = f"/scheduled_operations/{PLAN['id']}/action"
    run = {"id": PLAN["id"], "scheduled_operation_id": PLAN["id"], "status": "skipped", "reason": "r"}
    cloud.refuse("POST", path, 503, None, "busy")
    cloud.answer("POST", path, {"run": run})
    proxy.status_code_retries, proxy.retriable_status_codes = 1, [503]
    made = proxy.run_scheduled_operation(PLAN["id"], idempotency_key="once")
    assert (made.status, made.reason) == ("skipped", "r")
    keys = [call.request.headers.get("Idempotency-Key") for call in cloud.mock.calls if call.request.method == "POST"]
    assert keys[-2:] == ["once", "once"]


def test_a_request_to_an_api_that_never_answers_ends(cloud, proxy):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        cloud.mock.add_passthru(url)
        proxy.endpoint_override, proxy.timeout, proxy.connect_retries = url, 0.1, 1
        with pytest.raises(ksa_exceptions.ConnectTimeout):
            list(proxy.plans())


def test_the_limit_of_the_connection_takes_precedence(cloud, proxy):
    cloud.answer("GET", "/plans", {"plans": []})
    for limit, used in ((None, TIMEOUT), (7.0, 7.0)):
        proxy.session.timeout = limit
        assert list(proxy.plans()) == []
        assert cloud.mock.calls[-1].request.req_kwargs["timeout"] == used
