"""Swift with python-swiftclient."""

import hashlib
import http.client
import random
import urllib.parse
from typing import Any

import pytest
import requests
from swiftclient import exceptions

from tests.functional.sandbox.conftest import Clients

DATA = random.Random(2).randbytes((2 << 20) + 5)


@pytest.fixture
def swift(alice: Clients) -> Any:
    alice.swift.put_container("bank")
    return alice.swift


def status(error: pytest.ExceptionInfo[exceptions.ClientException]) -> int:
    return error.value.http_status


def test_an_object_is_returned_unchanged(swift: Any) -> None:
    etag = swift.put_object("bank", "a/b c/ö", DATA, headers={"X-Object-Meta-Colour": "red"})
    headers, body = swift.get_object("bank", "a/b c/ö")

    assert body == DATA
    assert etag == headers["etag"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert headers["x-object-meta-colour"] == "red"
    assert swift.head_object("bank", "a/b c/ö")["content-length"] == str(len(DATA))


def test_a_generator_uploads_in_chunks(swift: Any) -> None:
    swift.put_object("bank", "g", iter([DATA[:100], DATA[100:]]))
    assert swift.get_object("bank", "g")[1] == DATA


@pytest.mark.parametrize(
    ("asked", "expected"), [("bytes=3-5", DATA[3:6]), ("bytes=-4", DATA[-4:]), ("bytes=9-", DATA[9:])]
)
def test_ranges(swift: Any, asked: str, expected: bytes) -> None:
    swift.put_object("bank", "o", DATA)
    headers, body = swift.get_object("bank", "o", headers={"Range": asked})
    assert body == expected
    assert headers["content-length"] == str(len(expected))


def test_a_range_beyond_the_end_is_refused(swift: Any) -> None:
    swift.put_object("bank", "o", b"1234")
    with pytest.raises(exceptions.ClientException) as error:
        swift.get_object("bank", "o", headers={"Range": "bytes=10-12"})
    assert status(error) == 416


def test_a_wrong_checksum_stores_nothing(swift: Any) -> None:
    with pytest.raises(exceptions.ClientException) as error:
        swift.put_object("bank", "o", DATA, etag="0" * 32)
    assert status(error) == 422
    assert swift.get_container("bank")[1] == []


def test_if_none_match(swift: Any) -> None:
    swift.put_object("bank", "o", b"first", headers={"If-None-Match": "*"})
    with pytest.raises(exceptions.ClientException) as error:
        swift.put_object("bank", "o", b"second", headers={"If-None-Match": "*"})
    assert status(error) == 412
    assert swift.get_object("bank", "o")[1] == b"first"


def test_a_failing_source_stores_nothing(swift: Any) -> None:
    def broken() -> Any:
        yield DATA
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke"):
        swift.put_object("bank", "o", broken())
    assert swift.get_container("bank")[1] == []
    swift.put_object("bank", "o", b"still usable")


def test_a_length_is_required(alice: Clients, swift: Any) -> None:
    url = urllib.parse.urlsplit(f"{alice.session.get_endpoint(service_type='object-store')}/bank/o")
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.putrequest("PUT", url.path)
    connection.putheader("X-Auth-Token", alice.session.get_token())
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


def test_overwriting_and_deleting(swift: Any) -> None:
    swift.put_object("bank", "o", b"old")
    swift.put_object("bank", "o", b"new")
    assert swift.get_object("bank", "o")[1] == b"new"
    swift.post_object("bank", "o", {"X-Object-Meta-K": "v"})
    assert swift.head_object("bank", "o")["x-object-meta-k"] == "v"

    swift.delete_object("bank", "o")
    for call in (swift.get_object, swift.head_object, swift.delete_object):
        with pytest.raises(exceptions.ClientException) as error:
            call("bank", "o")
        assert status(error) == 404


def test_listings(swift: Any) -> None:
    for name in ("a/1", "a/2", "b/1", "b/2/x", "c"):
        swift.put_object("bank", name, name.encode())

    def names(**kwargs: Any) -> list[str]:
        return [entry.get("name") or entry["subdir"] for entry in swift.get_container("bank", **kwargs)[1]]

    assert names() == ["a/1", "a/2", "b/1", "b/2/x", "c"]
    assert names(prefix="b/") == ["b/1", "b/2/x"]
    assert names(delimiter="/") == ["a/", "b/", "c"]
    assert names(prefix="b/", delimiter="/") == ["b/1", "b/2/"]
    assert names(marker="a/2", limit=2) == ["b/1", "b/2/x"]
    assert names(end_marker="b/1") == ["a/1", "a/2"]
    assert names(limit=2, full_listing=True) == names()
    headers, entries = swift.get_container("bank", prefix="c")
    assert (headers["x-container-object-count"], entries[0]["bytes"]) == ("5", 1)
    with pytest.raises(exceptions.ClientException) as error:
        names(limit=10_001)
    assert status(error) == 412


def test_containers(swift: Any) -> None:
    swift.post_container("bank", {"X-Container-Meta-Purpose": "backup"})
    assert swift.head_container("bank")["x-container-meta-purpose"] == "backup"
    swift.put_object("bank", "o", b"12345")

    headers, containers = swift.get_account()
    assert [(c["name"], c["count"], c["bytes"]) for c in containers] == [("bank", 1, 5)]
    assert headers["x-account-bytes-used"] == swift.head_account()["x-account-bytes-used"] == "5"
    with pytest.raises(exceptions.ClientException) as error:
        swift.delete_container("bank")
    assert status(error) == 409
    swift.delete_object("bank", "o")
    swift.delete_container("bank")
    with pytest.raises(exceptions.ClientException) as error:
        swift.put_object("bank", "o", b"")
    assert status(error) == 404


def test_accounts_are_isolated(swift: Any, alice: Clients, bob: Clients, admin: Clients) -> None:
    url = alice.session.get_endpoint(service_type="object-store")
    for other in (bob, admin):
        assert other.session.get(f"{url}/bank", raise_exc=False).status_code == 403
    assert requests.get(f"{url}/bank", timeout=60).status_code == 401
    with pytest.raises(exceptions.ClientException) as error:
        bob.swift.get_container("bank")
    assert status(error) == 404
