"""The client of Trove, where it differs from that of Neutron."""

import json
from collections.abc import Iterator

import pytest
from keystoneauth1 import noauth, session

from karbor_like import exception
from karbor_like.clients import trove
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

JSON = {"Content-Type": "application/json"}


def answer(request: Request) -> Answer:
    pages = {
        "/backups?limit=500": {
            "backups": [{"id": "a"}],
            "links": [{"rel": "next", "href": "http://x/?marker=20&limit=1"}],
        },
        "/backups?limit=500&marker=20": {"backups": [{"id": "b"}], "links": []},
        "/flavors": {
            "flavors": [{"id": 1, "str_id": "1", "name": "small"}, {"id": None, "str_id": "u", "name": "large"}]
        },
        "/instances/a": {},
    }
    return Answer(200, JSON, json.dumps(pages[request.path]).encode())


@pytest.fixture
def server() -> Iterator[scripted.Server]:
    with scripted.serving(answer) as server:
        yield server


@pytest.fixture
def client(server: scripted.Server) -> trove.Trove:
    return trove.Trove("1.0", session=session.Session(noauth.NoAuth()), endpoint_override=server.url)


def test_markers_are_those_of_the_links(client: trove.Trove) -> None:
    assert client.list("backups") == [{"id": "a"}, {"id": "b"}]


def test_ids_of_flavors_are_texts(client: trove.Trove) -> None:
    assert [flavor["id"] for flavor in client.flavors()] == ["1", "u"]


def test_names_are_changed_by_a_patch(client: trove.Trove, server: scripted.Server) -> None:
    client.rename("a", "shop")
    (request,) = server.requests
    assert (request.method, json.loads(request.body)) == ("PATCH", {"instance": {"name": "shop"}})


def test_a_response_without_an_object(client: trove.Trove) -> None:
    with pytest.raises(exception.Unavailable, match="Trove's response about instances cannot be understood"):
        client.show("instances", "a")
