"""The client of Manila, against an HTTP server with responses from the test."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib import parse

import pytest
from keystoneauth1 import access, session
from keystoneauth1.identity import access as access_plugin

from karbor_like import exception
from karbor_like.clients import manila, rest
from karbor_like.clients.errors import translated
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

ID = "4c9c0000-0000-4000-8000-000000000000"


@pytest.fixture
def answers() -> dict[str, Any]:
    """Bodies of responses by path."""
    return {}


@pytest.fixture
def server(answers: dict[str, Any]) -> Iterator[scripted.Server]:
    def answer(request: Request) -> Answer:
        url = parse.urlsplit(request.path)
        found = answers.get(url.path, {})
        body = found(parse.parse_qs(url.query)) if callable(found) else found
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    with scripted.serving(answer) as server:
        yield server


def connected(server: scripted.Server, service_type: str) -> manila.Manila:
    """Return a client in a cloud whose catalogue has Manila under *service_type*."""
    endpoint = {"interface": "public", "url": f"{server.url}/v2", "region": "r", "region_id": "r"}
    catalogue = [{"type": service_type, "name": "manila", "endpoints": [endpoint]}]
    token = {
        "methods": ["token"],
        "expires_at": "9999-12-31T23:59:59Z",
        "user": {"id": "u", "name": "u", "domain": {"id": "d"}},
        "catalog": catalogue,
    }
    auth = access_plugin.AccessInfoPlugin(access.AccessInfoV3({"token": token}, auth_token="t"))
    return manila.Manila("2.73", session=session.Session(auth), service_type="sharev2", interface="public")


@pytest.fixture
def client(server: scripted.Server) -> manila.Manila:
    return connected(server, "sharev2")


@pytest.mark.parametrize("service_type", ["sharev2", "shared-file-system"])
def test_service_type_and_microversion(server: scripted.Server, answers: dict[str, Any], service_type: str) -> None:
    answers[f"/v2/shares/{ID}"] = {"share": {"id": ID}}
    assert connected(server, service_type).show("shares", ID) == {"id": ID}
    assert server.requests[0].headers["X-OpenStack-Manila-API-Version"] == "2.73"


def test_lists_continue_until_nothing_follows(
    client: manila.Manila, server: scripted.Server, answers: dict[str, Any]
) -> None:
    def page(query: dict[str, list[str]]) -> Any:
        assert query["limit"] == [str(rest.PAGE)]
        assert query["name"] == ["data"]
        first = int(query["offset"][0])
        return {"shares": [{"id": each} for each in "abcde"[first : first + 2]]}

    answers["/v2/shares/detail"] = page
    assert client.list("shares", name="data") == [{"id": each} for each in "abcde"]
    assert len(server.requests) == 4


def test_a_list_that_ignores_the_offset_ends(client: manila.Manila, answers: dict[str, Any]) -> None:
    answers["/v2/snapshots/detail"] = {"snapshots": [{"id": "a"}]}
    with pytest.raises(exception.Unavailable, match="Manila's response about snapshots .* it repeats a page"):
        client.list("snapshots")


def test_access_rules_and_metadata(client: manila.Manila, server: scripted.Server, answers: dict[str, Any]) -> None:
    rule = {"access_type": "ip", "access_to": "10.0.0.0/8", "access_level": "ro"}
    answers["/v2/share-access-rules"] = {"access_list": [rule]}
    assert client.access_rules(ID) == [rule]
    client.allow_access(ID, rule)
    client.set_metadata(ID, {"a": "b"})
    client.set_metadata(ID, {}, replace=True)
    assert [(r.method, r.path, json.loads(r.body) if r.body else None) for r in server.requests] == [
        ("GET", f"/v2/share-access-rules?share_id={ID}", None),
        ("POST", f"/v2/shares/{ID}/action", {"allow_access": rule}),
        ("POST", f"/v2/shares/{ID}/metadata", {"metadata": {"a": "b"}}),
        ("PUT", f"/v2/shares/{ID}/metadata", {"metadata": {}}),
    ]


@pytest.mark.parametrize("body", [[], {}, {"access_list": None}, {"access_list": ["a"]}], ids=str)
def test_access_rules_of_another_shape(client: manila.Manila, answers: dict[str, Any], body: Any) -> None:
    answers["/v2/share-access-rules"] = body
    with pytest.raises(exception.Unavailable, match="share-access-rules cannot be understood"), translated("rules"):
        client.access_rules(ID)


@pytest.mark.parametrize("key", ["..", "a/../b", "a?b"])
def test_an_id_cannot_change_the_path(client: manila.Manila, server: scripted.Server, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.allow_access(key, {}),
        lambda: client.set_metadata(key, {}),
        lambda: client.show("shares", key),
    ]
    for call in calls:
        with pytest.raises(exception.InvalidInput, match="is not an id in Manila"):
            call()
    assert server.requests == []
