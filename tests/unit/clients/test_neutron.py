"""The client of Neutron, against an HTTP server with responses from the test."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib import parse

import pytest
from keystoneauth1 import noauth, session

from karbor_like import exception
from karbor_like.clients import neutron, rest
from karbor_like.clients.errors import translated
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

ID = "4c9c0000-0000-4000-8000-000000000000"
NEXT = [{"rel": "next", "href": "http://elsewhere.example.net/"}]
QUOTA = {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}
IN_USE = {"type": "NetworkInUse", "message": "Unable to complete operation on network X.", "detail": ""}


class Peer:
    """A server that answers with what the test sets."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Any] = lambda request: {}

    def __call__(self, request: Request) -> Answer:
        found = self.answer(request)
        return found if isinstance(found, Answer) else Answer(200, JSON, json.dumps(found).encode())


JSON = {"Content-Type": "application/json"}


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def server(peer: Peer) -> Iterator[scripted.Server]:
    with scripted.serving(peer) as server:
        yield server


@pytest.fixture
def client(server: scripted.Server) -> neutron.Neutron:
    return neutron.Neutron("2.0", session=session.Session(noauth.NoAuth()), endpoint_override=server.url)


def requested(server: scripted.Server) -> list[tuple[str, str, Any]]:
    """Return method, path and body of all requests."""
    return [(r.method, parse.urlsplit(r.path).path, json.loads(r.body) if r.body else None) for r in server.requests]


def test_verbs(client: neutron.Neutron, peer: Peer, server: scripted.Server) -> None:
    peer.answer = lambda request: {"security_group": {"id": ID, "name": request.method}}
    values = {"name": "web"}
    assert client.show("security-groups", ID) == {"id": ID, "name": "GET"}
    assert client.create("security-groups", values)["name"] == "POST"
    assert client.update("security-groups", ID, values)["name"] == "PUT"
    client.delete("security-groups", ID)
    client.call("security-groups", ID, "tags", {"tags": ["a"]})
    peer.answer = lambda request: {"port_forwarding": {}}
    assert client.create(f"floatingips/{ID}/port_forwardings", {}) == {}
    peer.answer = lambda request: {"policy": {"id": ID}}
    assert client.show("qos/policies", ID) == {"id": ID}
    groups, one = "/v2.0/security-groups", f"/v2.0/security-groups/{ID}"
    assert requested(server) == [
        ("GET", one, None),
        ("POST", groups, {"security_group": values}),
        ("PUT", one, {"security_group": values}),
        ("DELETE", one, None),
        ("PUT", f"{one}/tags", {"tags": ["a"]}),
        ("POST", f"/v2.0/floatingips/{ID}/port_forwardings", {"port_forwarding": {}}),
        ("GET", f"/v2.0/qos/policies/{ID}", None),
    ]


def test_lists_follow_markers_and_not_the_links_of_the_response(
    client: neutron.Neutron, peer: Peer, server: scripted.Server
) -> None:
    pages = {None: ["a", "b"], "b": ["c", "d"], "d": []}

    def answer(request: Request) -> Any:
        query = parse.parse_qs(parse.urlsplit(request.path).query)
        assert query["limit"] == [str(rest.PAGE)]
        assert (query["project_id"], query["fields"]) == (["p"], ["id", "name"])
        found = pages[query.get("marker", [None])[0]]
        return {"networks": [{"id": each} for each in found], "networks_links": NEXT}

    peer.answer = answer
    assert client.list("networks", project_id="p", fields=["id", "name"]) == [{"id": each} for each in "abcd"]
    assert len(server.requests) == 3


def test_a_list_of_one_page_takes_one_request(client: neutron.Neutron, peer: Peer, server: scripted.Server) -> None:
    peer.answer = lambda request: {"security_groups": [{"id": "a"}]}
    assert client.list("security-groups") == [{"id": "a"}]
    assert len(server.requests) == 1


def test_a_list_that_repeats_a_page_ends(client: neutron.Neutron, peer: Peer, server: scripted.Server) -> None:
    peer.answer = lambda request: {"ports": [{"id": "a"}], "ports_links": NEXT}
    with pytest.raises(exception.Unavailable, match="ports cannot be understood: it repeats a page"):
        client.list("ports")
    assert len(server.requests) == 2


def test_a_list_without_end_is_refused(client: neutron.Neutron, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_OBJECTS", 4)
    peer.answer = lambda request: {
        "ports": [{"id": f"{len(request.path)}-{n}-{request.path[-20:]}"} for n in range(3)],
        "ports_links": NEXT,
    }
    with pytest.raises(exception.ResourceFailed, match="more than 4 ports"):
        client.list("ports")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "it is not a JSON object"),
        (b"[]", "it is not a JSON object"),
        (b"{}", "it has no list 'networks'"),
        (b'{"networks": {}}', "it has no list 'networks'"),
        (b'{"networks": ["a"]}', "it has no list 'networks'"),
        (b'{"networks": [{}]}', "an object has no id"),
        (b'{"networks": [{"id": 1}], "networks_links": 1}', "an object has no id"),
    ],
)
def test_responses_of_another_shape(client: neutron.Neutron, peer: Peer, body: bytes, words: str) -> None:
    peer.answer = lambda request: Answer(200, JSON, body)
    with pytest.raises(exception.Unavailable, match=words), translated("the networks"):
        client.list("networks")


@pytest.mark.parametrize("body", [{}, {"network": []}, {"networks": []}])
def test_an_object_of_another_shape(client: neutron.Neutron, peer: Peer, body: Any) -> None:
    peer.answer = lambda request: body
    with pytest.raises(exception.Unavailable, match="it has no object 'network'"), translated("network x"):
        client.show("networks", ID)


@pytest.mark.parametrize("key", ["", "..", ".", "a/../b", "a?b", "a b", "é", "x" * 256, "a%2Fb", "a\n"])
def test_an_id_cannot_change_the_path(client: neutron.Neutron, server: scripted.Server, key: str) -> None:
    for call in (
        lambda: client.show("networks", key),
        lambda: client.delete("networks", key),
        lambda: client.update("networks", key, {}),
        lambda: client.create(f"floatingips/{key}/port_forwardings", {}),
    ):
        with pytest.raises(exception.InvalidInput, match="is not an id in Neutron"):
            call()
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (409, {"NeutronError": QUOTA}, exception.OverQuota),
        (409, {"NeutronError": IN_USE}, exception.Conflict),
        (409, {"NeutronError": "text"}, exception.Conflict),
        (409, ["text"], exception.Conflict),
        (404, {"NeutronError": QUOTA}, exception.ResourceNotFound),
        (403, {"NeutronError": IN_USE}, exception.NotAuthorized),
        (400, {"NeutronError": IN_USE}, exception.ResourceFailed),
        (503, {}, exception.Unavailable),
    ],
)
def test_errors(
    client: neutron.Neutron, peer: Peer, status: int, error: Any, expected: type[exception.KarborLikeError]
) -> None:
    peer.answer = lambda request: Answer(status, JSON, json.dumps(error).encode())
    with pytest.raises(expected) as caught, translated("creating a port"):
        client.create("ports", {})
    assert type(caught.value) is expected
    if isinstance(error, dict) and isinstance(error.get("NeutronError"), dict):
        assert error["NeutronError"]["message"] in caught.value.message
