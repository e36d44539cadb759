"""Routes, bodies and responses."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
import webob

from karbor_like.sandbox import errors, faults, web


class Example(web.Service):
    name = prefix = "example"

    def routes(self) -> Sequence[web.Route]:
        return (
            web.Route("GET", "/v1/things", self.answer),
            web.Route("GET", "/v1/things/detail", self.answer),
            web.Route("GET", "/v1/things/{key}", self.answer),
            web.Route("DELETE", "/v1/things/{key}", self.answer),
            web.Route("PUT", "/v1/{box}/{name:*}", self.answer),
        )

    def answer(self, call: web.Call, **arguments: str) -> webob.Response:
        return web.answer(body=arguments)


@pytest.mark.parametrize(
    ("method", "path", "template", "arguments"),
    [
        ("GET", "/v1/things", "/v1/things", {}),
        ("GET", "/v1/things/", "/v1/things", {}),
        ("GET", "/v1/things/detail", "/v1/things/detail", {}),
        ("GET", "/v1/things/7", "/v1/things/{key}", {"key": "7"}),
        ("PUT", "/v1/b/a/c d\n.x", "/v1/{box}/{name:*}", {"box": "b", "name": "a/c d\n.x"}),
    ],
)
def test_routes(method: str, path: str, template: str, arguments: dict[str, str]) -> None:
    route, found = Example().find(method, path)
    assert (route.template, found) == (template, arguments)


def test_an_unknown_path_and_an_unknown_method_are_different() -> None:
    with pytest.raises(errors.ApiError) as error:
        Example().find("GET", "/v2")
    assert error.value.status == 404
    with pytest.raises(errors.ApiError) as error:
        Example().find("POST", "/v1/things/7")
    assert (error.value.status, error.value.headers) == (405, {"Allow": "DELETE, GET, PUT"})


def call(body: bytes, *struck: faults.Fault, **environ: Any) -> web.Call:
    request = webob.Request.blank(
        "/", environ={"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **environ}
    )
    return web.Call(request, "/", faults.Strikes(struck), lambda fault: web.Cut(fault.kind))


def test_json_bodies() -> None:
    assert call(b'{"thing": {"a": 1}}').member("thing") == {"a": 1}
    for body in (b"", b"{", b"[]", b'{"thing": 1}', b"\xff"):
        with pytest.raises(errors.ApiError) as error:
            call(body).member("thing")
        assert error.value.status == 400


def test_a_body_that_ends_early_is_an_error() -> None:
    with pytest.raises(errors.ShortBody, match="after 3 of 9 bytes"):
        list(call(b"abc", CONTENT_LENGTH="9").chunks())


def test_a_body_is_read_once() -> None:
    received = call(b"abc")
    assert list(received.chunks()) == [b"abc"]
    assert list(received.chunks()) == []


@pytest.mark.parametrize(("after", "expected"), [(1, b"a"), (3, b"abc"), (9, b"abc")])
def test_a_cut_transfers_some_bytes_first(after: int, expected: bytes) -> None:
    chunks = call(b"abc", faults.Fault(kind=faults.CUT, where="request", after_bytes=after)).chunks()
    assert next(chunks) == expected
    with pytest.raises(web.Cut):
        next(chunks)


def test_an_anonymous_call_has_no_identity() -> None:
    with pytest.raises(errors.ApiError) as error:
        _ = call(b"").identity
    assert error.value.status == 401


def test_projects_are_visible_to_their_members_and_to_administrators() -> None:
    member = web.Identity("u", "user", "p", frozenset({"member"}), "t")
    admin = web.Identity("a", "admin", "q", frozenset({"admin"}), "t")
    unscoped = web.Identity("u", "user", None, frozenset(), "t")
    assert [who.may_see("p") for who in (member, admin, unscoped)] == [True, True, False]
    assert not member.may_see("q")
    assert not unscoped.may_see(None)
