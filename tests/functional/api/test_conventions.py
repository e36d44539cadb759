"""Conventions of every request: versions, media types, errors, paging, encodings."""

import json

import jsonschema
import pytest
import webtest

from karbor_like import exception
from karbor_like.api import openapi
from tests.fixtures import bodies
from tests.fixtures.api import PROJECT_A, PROJECT_B, token
from tests.fixtures.bodies import UNKNOWN_ID
from tests.fixtures.fake_catalogue import PROVIDER, VOLUME


@pytest.fixture
def anonymous(application):
    return webtest.TestApp(application)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/foo/bar", "/v2", "/v10/plans"])
def test_versions_everywhere_outside_of_version_1(anonymous, method, path):
    answer = anonymous.request(path, method=method, status=300, headers={"Host": "dp.example.net:8799"})
    link = {"rel": "self", "href": "http://dp.example.net:8799/data-protect/v1/"}
    assert answer.json == {"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]


def test_the_path_of_version_1_is_not_repeated_if_the_api_is_mounted_there(anonymous):
    answer = anonymous.get("/", status=300, extra_environ={"SCRIPT_NAME": "/data-protect"}, headers={"Host": "h"})
    assert answer.json["versions"][0]["links"][0]["href"] == "http://h/data-protect/v1/"


@pytest.mark.parametrize("path", ["/v1", "/v1/", f"/v1/{PROJECT_A}/plans", "/v1/x/y"])
@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*"])
def test_no_token(anonymous, path, accept):
    answer = anonymous.get(path, status=401, headers={"Accept": accept})
    assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")
    assert answer.json["error"]["code"] == 401
    assert answer.json["error"]["title"] == "Unauthorized"
    assert answer.json["error"]["type"] == "request.unauthenticated"


@pytest.mark.parametrize("path", ["/v1", "/v1/", f"/v1/{PROJECT_A}", f"/v1/{PROJECT_A}/"])
def test_the_root_has_no_content(anonymous, path):
    anonymous.get(path, status=404, headers={"X-Auth-Token": token("member")})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("PATCH", "/plans"),
        ("PUT", "/plans"),
        ("DELETE", "/plans"),
        ("POST", f"/plans/{UNKNOWN_ID}"),
        ("HEAD", "/plans"),
        ("GET", f"/plans/{UNKNOWN_ID}/edit"),
        ("POST", f"/plans/{UNKNOWN_ID}/action"),
        ("GET", "//plans"),
        ("GET", "/plans//"),
        ("GET", "/quotas"),
    ],
)
def test_an_unknown_route_is_not_found(anonymous, method, path):
    for accept in ("application/json", "text/html"):
        answer = anonymous.request(
            f"/v1/{PROJECT_A}{path}",
            method=method,
            status="*",
            headers={"X-Auth-Token": token("member"), "Accept": accept},
        )
        expected = 200 if path == "/plans//" else 404
        assert answer.status_int == expected
        if method != "HEAD" and expected == 404:
            assert answer.json["itemNotFound"]["code"] == 404
            assert answer.json["itemNotFound"]["type"] == "route.not_found"


def test_a_slash_at_the_end_changes_nothing(alice):
    assert alice.raw("GET", "/plans/").json == {"plans": []}


@pytest.mark.parametrize("project", [PROJECT_B, "x", PROJECT_A.upper()])
def test_the_path_names_the_tokens_project(alice, admin, project):
    for caller in (alice, admin):
        answer = caller.get("/plans", project=project, status=400)
        assert "Malformed request url" in answer["badRequest"]["message"]
        assert answer["badRequest"]["type"] == "request.wrong_project"


def test_headers_of_old_clients_change_nothing(alice):
    headers = {"X-Auth-Url": "http://x", "X-Region-Name": "r", "X-Auth-User": "u", "X-Auth-Key": "k"}
    assert alice.get("/plans", headers=headers) == {"plans": []}


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b"\xff"])
def test_a_body_of_a_get_or_delete_is_ignored(alice, body):
    assert alice.raw("GET", "/plans", body).json == {"plans": []}
    plan = alice.post("/plans", bodies.plan())["plan"]
    assert alice.raw("DELETE", f"/plans/{plan['id']}", body).status_int == 200


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"", 400, "request.malformed"),
        ("application/json", b"   ", 400, "request.malformed"),
        ("application/json", b"{", 400, "request.malformed"),
        ("application/json", b"nonsense", 400, "request.malformed"),
        ("application/json", b'{"plan": NaN}', 400, "request.malformed"),
        ("application/json", b'{"plan": Infinity}', 400, "request.malformed"),
        ("application/json", b'{"plan": 1e999}', 400, "request.invalid"),
        ("application/json", b"\xff\xfe", 400, "request.malformed"),
        ("application/json", b"[" * 50000, 400, "request.malformed"),
        ("application/json", b'{"a":' * 70 + b"1" + b"}" * 70, 400, "request.malformed"),
        ("application/json", b"1" * 5000, 400, "request.malformed"),
        ("application/json; charset=utf-8", b"{}", 400, "request.invalid"),
        ("text/plain", b"{}", 415, "request.wrong_media_type"),
        ("application/x-www-form-urlencoded", b"plan=x", 415, "request.wrong_media_type"),
        ("", b"{}", 415, "request.wrong_media_type"),
    ],
)
def test_a_body_that_is_not_json_is_refused(alice, content_type, body, status, code):
    answer = alice.post("/plans", body, headers={"Content-Type": content_type}, status=status)
    ((member, content),) = answer.items()
    assert (member, content["type"]) == ("badRequest" if status == 400 else "badMediaType", code)


def test_a_body_that_is_too_large(alice):
    answer = alice.post("/plans", bodies.plan(name="x" * 200_000), status=413)
    assert answer["overLimit"]["type"] == "request.too_large"


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff x"])
@pytest.mark.parametrize("place", ["name", "key", "deep"])
def test_texts_that_a_database_cannot_store(alice, text, place):
    changes = {
        "name": {"name": text},
        "key": {"parameters": {text: {}}},
        "deep": {"resources": [{"id": "1", "type": "t", "name": "n", "extra_info": {"a": [text]}}]},
    }
    alice.post("/plans", bodies.plan(**changes[place]), status=400)


def test_numbers_that_a_database_cannot_store(alice):
    resources = [{"id": "1", "type": "t", "name": "n", "extra_info": {"a": 2**64}}]
    answer = alice.post("/plans", bodies.plan(resources=resources), status=400)
    assert answer["badRequest"]["fields"][0]["path"] == "plan.resources[0].extra_info.a"


@pytest.mark.parametrize(
    "name", ["𝄞 ünïcödé", "名前", "'; DROP TABLE plans; --", "<b>", "a/b", "%s", "123", " padded "]
)
def test_odd_names_are_kept(alice, name):
    assert alice.post("/plans", bodies.plan(name=name))["plan"]["name"] == name
    assert alice.get("/plans")["plans"][0]["name"] == name


@pytest.mark.parametrize("path", ["/plans/%FF", "/plans?name=%FF", "/plans?%FF=x", "/plans?name=%00", "/%FF"])
def test_bytes_that_are_not_text(alice, path):
    alice.get(path, status=400)


@pytest.mark.parametrize(
    "path",
    [
        "/plans?" + "&".join(["a=b"] * 101),
        "/plans?name=" + "x" * 20_000,
        "/plans?name=" + "x" * 5_000,
        "/plans/" + "x" * 256,
        "/protectables/" + "x" * 300 + "/instances",
        f"/protectables/{VOLUME}/instances?parameters={'-' * 4_000}1",
        f"/protectables/{VOLUME}/instances?parameters={'[' * 4_000}",
        f"/protectables/{VOLUME}/instances?parameters={{'a':{'9' * 30}}}",
        f"/protectables/{VOLUME}/instances?parameters={{'a':{'1,' * 2_000}}}",
        f"/protectables/{VOLUME}/instances?parameters={{'a':'%5Cud800'}}",
        f"/protectables/{VOLUME}/instances?parameters={{'a':'%5Cx00'}}",
    ],
)
def test_paths_and_query_strings_are_bounded(alice, path):
    answer = alice.get(path, status=400)
    assert len(answer["badRequest"]["message"]) < 500


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=",
        "limit=1&limit=2",
        "offset=-1",
        "offset=2147483648",
        "offset=x",
        "sort=name:up",
        "sort=size",
        "sort_key=size",
        "sort_dir=up",
        "sort=name&sort_key=name",
        "sort=name&sort_dir=asc",
        "sort=,",
        "limit=%D9%A3",
    ],
)
@pytest.mark.parametrize(
    "path", ["/plans", "/restores", "/verifications", "/triggers", "/scheduled_operations", "/operation_logs"]
)
def test_invalid_pages_are_refused(alice, path, query):
    alice.get(f"{path}?{query}", status=400)


@pytest.mark.parametrize(
    "path", ["/plans", "/restores", "/verifications", "/triggers", "/scheduled_operations", "/operation_logs"]
)
@pytest.mark.parametrize("key", ["id", "status", "name", "created_at"])
def test_every_list_is_sorted_by_what_clients_send(alice, path, key):
    alice.get(f"{path}?sort_key={key}&sort_dir=asc&limit=21")
    alice.get(f"{path}?sort={key}:asc,id")
    alice.get(f"{path}?limit=99999999999999999999999&offset=5&junk=1")


@pytest.mark.parametrize("marker", [UNKNOWN_ID, "nonsense", "%27", "x" * 300])
def test_an_unknown_marker(alice, marker):
    assert alice.get(f"/plans?marker={marker}", status=404)["itemNotFound"]["type"] == "plan.not_found"


def test_walking_through_pages(alice):
    names = [f"plan-{n}" for n in range(5)]
    for name in reversed(names):
        alice.post("/plans", bodies.plan(name=name))
    query, seen = "/plans?limit=2&sort=name:asc&status=suspended", []
    while True:
        page = alice.get(query)
        seen.append([plan["name"] for plan in page["plans"]])
        if "plans_links" not in page:
            break
        href = page["plans_links"][0]["href"]
        assert "limit=2&sort=name%3Aasc&status=suspended&marker=" in href
        query = href.partition(PROJECT_A)[2]
    assert seen == [names[:2], names[2:4], names[4:]]
    assert [plan["name"] for plan in alice.get("/plans?offset=3&sort=name:asc")["plans"]] == names[3:]
    newest_first = [plan["name"] for plan in alice.get("/plans")["plans"]]
    assert newest_first == names


def test_links_behind_proxies(alice, anonymous, conf):
    alice.post("/plans", bodies.plan())
    old = {"X-Forwarded-Host": "inner, outer.example.net", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/dp"}
    new = {"Forwarded": "for=10.0.0.1;host=outer.example.net;proto=https", "X-Forwarded-Prefix": "/dp"}
    for headers in (old, new):
        conf.set_override("enable_proxy_headers_parsing", False, group="oslo_middleware")
        direct = alice.get("/plans?limit=1", headers=headers)
        assert direct["plans_links"][0]["href"].startswith(f"http://localhost/v1/{PROJECT_A}/plans?")
        assert "outer" not in anonymous.get("/", status=300, headers=headers).text
        conf.set_override("enable_proxy_headers_parsing", True, group="oslo_middleware")
        forwarded = alice.get("/plans?limit=1", headers=headers)
        assert forwarded["plans_links"][0]["href"].startswith(f"https://outer.example.net/dp/v1/{PROJECT_A}/plans?")
        assert "https://outer.example.net/dp/" in anonymous.get("/", status=300, headers=headers).text
    conf.set_override("public_url", "https://api.example.net/protect/", group="api")
    configured = alice.get("/plans?limit=1")
    assert configured["plans_links"][0]["href"].startswith(f"https://api.example.net/protect/v1/{PROJECT_A}/plans?")


def test_the_operator_bounds_pages(alice, conf):
    conf.set_override("max_limit", 1, group="api")
    for _ in range(2):
        alice.post("/plans", bodies.plan())
    assert len(alice.get("/plans?limit=100")["plans"]) == 1
    assert alice.get("/plans")["plans_links"]


def test_a_bug_says_nothing_of_the_inside(alice, protection, caplog):
    protection.broken["list_providers"] = ZeroDivisionError("secret")
    answer = alice.get("/providers", status=500)
    assert "secret" not in json.dumps(answer)
    assert answer["computeFault"]["type"] == "server.error"
    assert "ZeroDivisionError" in caplog.text


def test_programs_can_tell_errors_of_one_status_apart(alice):
    plan = alice.post("/plans", bodies.plan())["plan"]["id"]
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]["id"]
    alice.post("/scheduled_operations", bodies.scheduled_operation(trigger, plan))
    assert alice.delete(f"/plans/{plan}", status=409)["conflictingRequest"]["type"] == "plan.in_use"
    assert alice.delete(f"/triggers/{trigger}", status=424)["computeFault"]["type"] == "trigger.in_use"
    key = {"Idempotency-Key": "k1"}
    path = f"/providers/{PROVIDER}/checkpoints"
    alice.post(path, bodies.checkpoint(plan), headers=key)
    answer = alice.post(path, bodies.checkpoint(plan, extra_info={"a": "b"}), headers=key, status=409)
    assert answer["conflictingRequest"]["type"] == "idempotency_key.reused"
    foreign = alice.post(f"/providers/{UNKNOWN_ID}/checkpoints", bodies.checkpoint(plan), status=400)
    assert foreign["badRequest"]["type"] == "plan.wrong_provider"


def test_health(anonymous, protection, database):
    assert anonymous.get("/healthcheck", status=200)
    protection.broken["ping"] = exception.Unavailable("no service answered")
    assert (
        "no service answered" in anonymous.get("/healthcheck", status=503, headers={"Accept": "application/json"}).text
    )
    assert anonymous.head("/healthcheck", status=503)


@pytest.mark.parametrize(
    ("user_agent", "sent"),
    [
        ("curl/8", "5"),
        ("python-karborclient", None),
        ("openstacksdk/0.50 osc-lib/2.2.1 keystoneauth1/4.2 python-requests/2.25", None),
    ],
)
def test_the_old_client_gets_no_header_that_it_fails_at(alice, protection, user_agent, sent):
    protection.broken["list_providers"] = exception.Unavailable("no protection service answered")
    answer = alice.raw("GET", "/providers", headers={"User-Agent": user_agent})
    assert answer.status_int == 503
    assert answer.headers.get("Retry-After") == sent
    assert answer.json["serviceUnavailable"]["retryAfter"] == "5"


def test_the_document_is_valid_and_complete(anonymous):
    document = anonymous.get("/v1/openapi.json").json
    assert document == json.loads(json.dumps(openapi.document()))
    ids = []
    for path in document["paths"].values():
        for operation in path.values():
            ids.append(operation["operationId"])
            assert operation["summary"]
            for content in (operation.get("requestBody"), *operation["responses"].values()):
                if content and "content" in content:
                    schema = content["content"]["application/json"]["schema"]
                    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(ids) == len(set(ids)) > 40
