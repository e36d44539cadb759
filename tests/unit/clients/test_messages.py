"""The cloud's words, from real responses as each client library presents them."""

import json
import socket
from collections.abc import Callable
from typing import Any

import cinderclient.client
import cinderclient.exceptions
import glanceclient
import heatclient.client
import novaclient.client
import pytest
from keystoneauth1 import noauth, session

from karbor_like import exception
from karbor_like.clients import messages
from karbor_like.clients.errors import translated
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer

ANYBODY = noauth.NoAuth()
ID = "4c9c0000-0000-4000-8000-000000000000"
REQUEST_ID = "req-6d3d0c0e-4d1a-4f6c-9f0c-1d1f5d3a7e11"

#: WebOb's page, which Glance sends.
GLANCE_PAGE = """<html>
 <head>
  <title>409 Conflict</title>
 </head>
 <body>
  <h1>409 Conflict</h1>
  Image 4c9c is in use: The image cannot be deleted because it has snapshot(s) &#x27;a&#x27;.<br /><br />



 </body>
</html>"""
HAPROXY_PAGE = """<html><body><h1>503 Service Unavailable</h1>
No server is available to handle this request.
</body></html>
"""
APACHE_PAGE = """<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">
<html><head>
<title>413 Request Entity Too Large</title>
<style>h1 { color: red }</style><script>track("a");</script>
</head><body>
<h1>Request Entity Too Large</h1>
<p>The requested resource does not allow request data with PUT requests, or the amount of data provided in
the request exceeds the capacity limit.</p>
</body></html>
"""
QUOTA = "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'."
NESTED = {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}


def cinder(url: str) -> None:
    cinderclient.client.Client("3.30", session=session.Session(ANYBODY), endpoint_override=url).volumes.list()


def nova(url: str) -> None:
    novaclient.client.Client("2.1", session=session.Session(ANYBODY), endpoint_override=url).servers.list()


def glance(url: str) -> None:
    glanceclient.Client("2", session=session.Session(ANYBODY), endpoint_override=url).images.get(ID)


def heat(url: str) -> None:
    heatclient.client.Client("1", session=session.Session(ANYBODY), endpoint_override=url).stacks.get("x")


def keystone(url: str) -> None:
    session.Session(ANYBODY).get(url)


def told(client: Callable[[str], None], status: int, body: Any, kind: str = "", **more: str) -> Exception:
    """Return what ``translated`` raises if a client gets a response, whose other headers are *more*."""
    content = body if isinstance(body, str) else json.dumps(body)
    kind = kind or ("text/html; charset=UTF-8" if isinstance(body, str) else "application/json")
    headers = {"Content-Type": kind, "x-openstack-request-id": REQUEST_ID, "x-compute-request-id": REQUEST_ID}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    with (
        scripted.serving(lambda request: Answer(status, headers, content.encode())) as server,
        pytest.raises(exception.KarborLikeError) as caught,
        translated("creating volume x"),
    ):
        client(server.url)
    return caught.value


@pytest.mark.parametrize(
    ("client", "status", "body", "words"),
    [
        (cinder, 413, {"overLimit": {"code": 413, "message": QUOTA, "retryAfter": "0"}}, QUOTA),
        (
            cinder,
            400,
            {"badRequest": {"code": 400, "message": "Invalid volume: x\n\tis in use"}},
            "Invalid volume: x is in use",
        ),
        (cinder, 503, HAPROXY_PAGE, "No server is available to handle this request."),
        (cinder, 500, "", "Internal Server Error"),
        (cinder, 409, {"conflict": {"message": "busy (HTTP 409)"}}, "busy"),
        (cinder, 503, {"error": "no backend"}, "no backend"),
        (cinder, 503, ["no backend"], "no backend"),
        (nova, 403, {"forbidden": {"code": 403, "message": "Quota exceeded for cores"}}, "Quota exceeded for cores"),
        (
            nova,
            400,
            {"badRequest": {"code": 400, "message": json.dumps(NESTED)}},
            "Quota exceeded for resources: ['port'].",
        ),
        (nova, 503, HAPROXY_PAGE, "No server is available to handle this request."),
        (nova, 500, {"computeFault": {"code": 500, "message": None}}, "Internal Server Error"),
        (
            glance,
            409,
            GLANCE_PAGE,
            "Image 4c9c is in use: The image cannot be deleted because it has snapshot(s) 'a'.",
        ),
        (glance, 503, HAPROXY_PAGE, "No server is available to handle this request."),
        (glance, 413, {"message": "too large", "code": "413 Request Entity Too Large", "title": "x"}, "too large"),
        (
            heat,
            400,
            {"code": 400, "explanation": "bad", "error": {"message": "Property x: no", "traceback": None}},
            "Property x: no",
        ),
        (heat, 503, HAPROXY_PAGE, "No server is available to handle this request."),
        (
            keystone,
            401,
            {"error": {"code": 401, "message": "The password is wrong.", "title": "Unauthorized"}},
            "The password is wrong.",
        ),
        (keystone, 503, HAPROXY_PAGE, "No server is available to handle this request."),
        (keystone, 404, {"detail": "no such thing"}, "no such thing"),
        (keystone, 400, {"errors": [{"title": "Bad", "detail": "The name is too long"}]}, "Bad"),
        (
            keystone,
            413,
            APACHE_PAGE,
            "Request Entity Too Large: The requested resource does not allow request data with PUT requests, or the"
            " amount of data provided in the request exceeds the capacity limit.",
        ),
    ],
)
def test_words_of_a_response(client: Any, status: int, body: Any, words: str) -> None:
    error = told(client, status, body)
    assert str(error) == f"creating volume x: {words} (HTTP {status}) (Request-ID: {REQUEST_ID})"


@pytest.mark.parametrize("client", [keystone, cinder, nova, glance, heat])
@pytest.mark.parametrize(
    ("status", "given", "seconds"), [(429, "30", 30), (413, "7", 7), (503, "5", 5), (503, "soon", 0)]
)
def test_the_wait_that_a_service_asks_for_is_kept(client: Any, status: int, given: str, seconds: float) -> None:
    error = told(client, status, {"overLimit": {"code": status, "message": "slow down"}}, Retry_After=given)
    assert isinstance(error, exception.Unavailable)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize("client", [cinder, glance])
@pytest.mark.parametrize("body", [{"error": "no backend"}, ["no backend"], {"a": 1}, "[", "{}"])
def test_library_that_does_not_understand_an_error(client: Any, body: Any, status: int) -> None:
    error = told(client, status, body, "application/json")
    assert type(error) is exception.Unavailable
    assert f"(HTTP {status})" in str(error)


def test_library_that_does_not_understand_a_success() -> None:
    """A proxy's page, for example."""
    error = told(glance, 200, "<html>hello</html>")
    assert type(error) is exception.Unavailable
    assert "the response cannot be understood: " in str(error)


def test_long_words_are_cut() -> None:
    error = told(cinder, 400, {"badRequest": {"message": "a" * 100_000}})
    assert len(str(error)) < messages.MAX_LENGTH + 150
    assert str(error).endswith(f"a… (HTTP 400) (Request-ID: {REQUEST_ID})")


def test_control_characters_are_removed() -> None:
    error = told(cinder, 400, {"badRequest": {"message": "a\x00\x1b[31mb\u202ec\u2028d\r\ne"}})
    assert "a [31mb c d e (HTTP 400)" in str(error)


def test_deep_json_is_not_followed() -> None:
    body: Any = "end"
    for _ in range(200):
        body = {"message": [body]}
    assert len(str(told(keystone, 400, {"error": {"message": json.dumps(body)}}))) < messages.MAX_LENGTH + 150


@pytest.mark.parametrize("header", ["", "req-1\u0085", "x" * 101, "<b>"])
def test_strange_request_id_is_dropped(header: str) -> None:
    error = cinderclient.exceptions.ClientException(409, "busy", request_id=header)
    assert messages.describe(error, 409) == "busy (HTTP 409)"


class TestNetwork:
    def ask(self, url: str) -> str:
        with pytest.raises(exception.Unavailable) as caught, translated("volumes"):
            session.Session().get(url, timeout=60)
        return str(caught.value)

    def test_refused(self) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}/v3"
            assert self.ask(url) == f"volumes: Unable to establish connection to {url}: Connection refused"

    def test_closed_without_an_answer(self) -> None:
        with scripted.serving(lambda request: Answer(drop=True)) as server:
            said = self.ask(f"{server.url}/v3")
        assert said.startswith("volumes: Unable to establish connection to")
        assert said.count("Remote end closed connection without response") == 1
        assert "object at" not in said

    def test_cut(self) -> None:
        with scripted.serving(lambda request: Answer(200, {}, b"x" * 100, cut=10)) as server:
            assert self.ask(server.url) == (
                f"volumes: Unexpected exception for {server.url}: Connection broken: IncompleteRead(10 bytes read, 90 more"
                " expected)"
            )
