"""What a real Swift does not produce on demand: errors, truncated responses, expired tokens, Keystone catalogs."""

import hashlib
import json
import random
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, body, swift
from tests.fixtures import scripted
from tests.fixtures.scripted import Answer, Request

CALLS: dict[str, Callable[[base.ObjectStore], object]] = {
    "put": lambda store: store.put("a/b", b"x"),
    "get": lambda store: store.get("a/b"),
    "range": lambda store: store.get("a/b", 1, 2),
    "stat": lambda store: store.stat("a/b"),
    "delete": lambda store: store.delete("a/b"),
    "list": lambda store: store.list("a/"),
}


def configured(**values: object) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group, options in swift.SwiftStore.options.items():
        conf.register_opts(options, group=group)
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        conf.set_override(name, value, group="swift_bank_plugin" if name.startswith("bank_") else "swift_client")
    return conf


class Tempauth:
    """A Swift with numbered tokens. The test provides all other responses."""

    def __init__(self) -> None:
        self.tokens = 0
        self.answer: Callable[[Request], Answer] = lambda request: Answer()
        self.login = Answer()

    def __call__(self, request: Request) -> Answer:
        if request.path == "/auth":
            self.tokens += 1
            url = f"http://{request.headers['Host']}/v1/AUTH_bank"
            headers = {"X-Storage-Url": url, "X-Auth-Token": f"token-{self.tokens}"}
            return Answer(self.login.status, headers, drop=self.login.drop)
        return self.answer(request)


@pytest.fixture
def cloud() -> Tempauth:
    return Tempauth()


@pytest.fixture
def server(cloud: Tempauth) -> Iterator[scripted.Server]:
    with scripted.serving(cloud) as server:
        yield server


@pytest.fixture
def store(server: scripted.Server) -> Iterator[swift.SwiftStore]:
    store = swift.SwiftStore.from_conf(
        configured(
            swift_auth_version="1", swift_auth_url=f"{server.url}/auth", swift_user="bank", swift_key="secret-key"
        )
    )
    yield store
    store.close()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BankError),
        (401, errors.AccessDenied),
        (403, errors.AccessDenied),
        (405, errors.AccessDenied),
        (408, errors.ConnectionFailed),
        (409, errors.ConnectionFailed),
        (413, errors.BankFull),
        (422, errors.ConnectionFailed),
        (429, errors.ConnectionFailed),
        (498, errors.ConnectionFailed),
        (499, errors.ConnectionFailed),
        (500, errors.ConnectionFailed),
        (503, errors.ConnectionFailed),
        (507, errors.BankFull),
    ],
)
def test_every_refusal_has_its_error(
    store: swift.SwiftStore, cloud: Tempauth, status: int, error: type[errors.BankError], call: str
) -> None:
    cloud.answer = lambda request: Answer(status)
    with pytest.raises(error) as caught:
        CALLS[call](store)
    assert type(caught.value) is error
    assert str(status) in str(caught.value)
    assert "secret-key" not in str(caught.value)
    assert "token-" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_failed_call_is_not_repeated(
    store: swift.SwiftStore, cloud: Tempauth, server: scripted.Server, call: str
) -> None:
    cloud.answer = lambda request: Answer(503)
    with pytest.raises(errors.ConnectionFailed):
        CALLS[call](store)
    assert [request.path for request in server.requests].count("/auth") == 1
    assert len(server.requests) == 2


def test_threads_use_one_connection_after_another(store: swift.SwiftStore, cloud: Tempauth) -> None:
    for _ in range(3):
        with ThreadPoolExecutor(1) as threads:
            threads.submit(store.delete, "a/b").result()
    assert cloud.tokens == 1, "each connection signs in"


def test_requests_at_the_same_time_have_connections_of_their_own(store: swift.SwiftStore, cloud: Tempauth) -> None:
    together = threading.Barrier(3)

    def answer(request: Request) -> Answer:
        together.wait(60)
        return Answer(body=request.path.encode())

    cloud.answer = answer
    with ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            contents = list(threads.map(store.get, ["a/0", "a/1", "a/2"]))
            assert [content[-3:] for content in contents] == [b"a/0", b"a/1", b"a/2"]
    assert cloud.tokens == 3


def test_few_connections_are_left_open(store: swift.SwiftStore, cloud: Tempauth) -> None:
    together = threading.Barrier(20)

    def answer(request: Request) -> Answer:
        together.wait(60)
        return Answer()

    cloud.answer = answer
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(store.delete, [f"a/{number}" for number in range(20)]))
    assert cloud.tokens == 20
    assert len(store._idle) == 8


def test_bodies_are_sent_in_large_pieces(store: swift.SwiftStore, server: scripted.Server) -> None:
    """urllib3 reads 16 KiB at a time, so that a pack would cost a thousand system calls."""
    _, connection = store._connect().http_connection(server.url)
    pool = connection.request_session.get_adapter(server.url).poolmanager.connection_from_url(server.url)
    made = pool._new_conn()
    assert made.blocksize == 128 * 1024


@pytest.mark.parametrize("call", CALLS)
def test_a_dropped_connection(store: swift.SwiftStore, cloud: Tempauth, call: str) -> None:
    cloud.answer = lambda request: Answer(drop=True)
    with pytest.raises(errors.ConnectionFailed, match="container karbor: a/"):
        CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
def test_an_unreachable_server(call: str) -> None:
    store = swift.SwiftStore.from_conf(
        configured(swift_auth_version="1", swift_auth_url="http://127.0.0.1:1/auth", swift_user="u", swift_key="k")
    )
    with pytest.raises(errors.ConnectionFailed):
        CALLS[call](store)


def test_a_silent_server_times_out(store: swift.SwiftStore, cloud: Tempauth) -> None:
    released = threading.Event()
    url = store._connect().authurl
    impatient = swift.SwiftStore.from_conf(
        configured(swift_auth_version="1", swift_auth_url=url, swift_user="bank", swift_key="k", swift_timeout=0.3)
    )

    def hang(request: Request) -> Answer:
        released.wait(20)
        return Answer()

    cloud.answer = hang
    try:
        with pytest.raises(errors.ConnectionFailed, match="timed out"):
            impatient.get("a/b")
        cloud.answer = lambda request: Answer(body=b"content")
        assert impatient.get("a/b") == b"content", "with another connection"
    finally:
        released.set()


@pytest.mark.parametrize(("login", "error"), [(401, errors.AccessDenied), (503, errors.ConnectionFailed)])
def test_a_refused_login(store: swift.SwiftStore, cloud: Tempauth, login: int, error: type[errors.BankError]) -> None:
    cloud.login = Answer(login)
    with pytest.raises(error):
        store.get("a/b")


def test_a_truncated_response_is_detected(store: swift.SwiftStore, cloud: Tempauth) -> None:
    cloud.answer = lambda request: Answer(body=b"0123456789", cut=4)
    with pytest.raises(errors.ConnectionFailed):
        store.get("a/b")
    cloud.answer = lambda request: Answer(body=b"0123456789")
    assert store.get("a/b") == b"0123456789"


def test_a_server_that_ignores_ranges(store: swift.SwiftStore, cloud: Tempauth) -> None:
    cloud.answer = lambda request: Answer(body=b"0123456789")
    assert store.get("a/b", 2, 3) == b"234"
    assert store.get("a/b", 7) == b"789"


@pytest.mark.parametrize("ranged", [True, False])
def test_a_response_in_pieces_is_read_into_a_buffer(store: swift.SwiftStore, cloud: Tempauth, ranged: bool) -> None:
    content = random.Random(1).randbytes(3_000_000)

    def answer(request: Request) -> Answer:
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        return (
            Answer(206, {"Content-Range": f"bytes {first}-{last}/*"}, content[first : last + 1])
            if ranged
            else Answer(body=content)
        )

    cloud.answer, memory = answer, bytearray(2_500_000)
    for start, length in [(0, 2_500_000), (1_000_000, 1_300_001), (2_000_000, 2_000_000), (2_999_999, 1), (0, 1)]:
        view = memoryview(memory)[:length]
        expected = content[start : start + length]
        assert store.get_into("a/b", start, view) == len(expected)
        assert view[: len(expected)] == expected


def test_a_response_into_a_buffer_needs_no_memory_of_its_size(store: swift.SwiftStore, cloud: Tempauth) -> None:
    size = 8_000_000
    memory = bytearray(size)
    answer = Answer(206, {"Content-Range": f"bytes 0-{size - 1}/*"}, b"x" * size)
    cloud.answer = lambda request: answer
    store.get_into("a/b", 0, memoryview(memory))
    tracemalloc.start()
    try:
        assert store.get_into("a/b", 0, memoryview(memory)) == size
        assert tracemalloc.get_traced_memory()[1] < size // 4
    finally:
        tracemalloc.stop()


def test_a_response_into_a_buffer_is_not_of_another_size(store: swift.SwiftStore, cloud: Tempauth) -> None:
    memory = bytearray(4)
    cloud.answer = lambda request: Answer(206, {"Content-Range": "bytes 1-4/9"}, b"0123", cut=2)
    with pytest.raises(errors.ConnectionFailed):
        store.get_into("a/b", 1, memoryview(memory))
    cloud.answer = lambda request: Answer(206, {"Content-Range": "bytes 1-6/9"}, b"012345")
    with pytest.raises(errors.Corrupted, match="sent 6 bytes; requested were 4"):
        store.get_into("a/b", 1, memoryview(memory))
    cloud.answer = lambda request: Answer(206, {"Content-Range": "bytes 1-4/9"}, b"abcd")
    assert store.get_into("a/b", 1, memoryview(memory)) == 4
    assert memory == b"abcd"


def test_nothing_is_written_to_a_buffer_that_nobody_waits_for() -> None:
    memory = bytearray(4)
    with body.Sink(memoryview(memory)) as sink:
        sink.write(1, b"ab")
    with pytest.raises(TimeoutError):
        sink.write(0, b"cd")
    assert memory == b"\0ab\0"


def test_uploads_are_checked_on_both_sides(store: swift.SwiftStore, cloud: Tempauth, server: scripted.Server) -> None:
    digest = hashlib.md5(b"abcd", usedforsecurity=False).hexdigest()
    cloud.answer = lambda request: Answer(201, {"ETag": digest})
    store.put("a/b", [b"ab", b"cd"])
    assert server.requests[-1].headers["ETag"] == digest
    assert server.requests[-1].body == b"abcd"
    cloud.answer = lambda request: Answer(201, {"ETag": "0" * 32})
    with pytest.raises(errors.ConnectionFailed, match="other bytes"):
        store.put("a/b", b"abcd")


@pytest.mark.parametrize("call", CALLS)
def test_an_expired_token_is_renewed_once(store: swift.SwiftStore, cloud: Tempauth, call: str) -> None:
    def answer(request: Request) -> Answer:
        if request.headers["X-Auth-Token"] == "token-1":
            return Answer(401)
        headers = {"X-Timestamp": "1", "ETag": hashlib.md5(request.body, usedforsecurity=False).hexdigest()}
        assert request.method != "PUT" or request.body == b"x"
        return Answer(200, headers, body=b"[]" if call == "list" else b"xyz" if request.method == "GET" else b"")

    cloud.answer = answer
    CALLS[call](store)
    assert cloud.tokens == 2


def test_the_first_put_creates_the_container(store: swift.SwiftStore, cloud: Tempauth, server: scripted.Server) -> None:
    methods: list[str] = []

    def answer(request: Request) -> Answer:
        if request.path == "/v1/AUTH_bank/karbor":
            methods.append(request.method)
            return Answer(201)
        return Answer(201 if methods else 404, {"ETag": hashlib.md5(request.body, usedforsecurity=False).hexdigest()})

    cloud.answer = answer
    store.put("a/b", [b"x", b"y"])
    assert methods == ["PUT"]
    assert server.requests[-1].body == b"xy"


def test_two_concurrent_first_puts(store: swift.SwiftStore, cloud: Tempauth, server: scripted.Server) -> None:
    requested, created, done = threading.Event(), threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        if request.path == "/v1/AUTH_bank/karbor":
            created.set()
            return Answer(201)
        exists = created.is_set()
        if request.path.endswith("/slow") and not exists:
            requested.set()
            assert done.wait(30)
        return Answer(201 if exists else 404, {"ETag": hashlib.md5(request.body, usedforsecurity=False).hexdigest()})

    cloud.answer = answer
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.put, "a/slow", b"x")
        assert requested.wait(30)
        store.put("a/quick", b"y")
        done.set()
        slow.result(30)
    assert server.requests[-1].body == b"x"


def test_a_container_that_existed_before_is_not_empty(
    store: swift.SwiftStore, cloud: Tempauth, server: scripted.Server
) -> None:
    cloud.answer = lambda request: Answer(404)
    assert list(store.list("a/", marker="a/b")) == []
    cloud.answer = lambda request: Answer(body=b"x")
    store.get("a/b")
    cloud.answer = lambda request: Answer(404)
    for call in ("put", "list"):
        with pytest.raises(errors.ConnectionFailed, match="container karbor: a/.*the container existed before"):
            CALLS[call](store)
    assert "/v1/AUTH_bank/karbor" not in [request.path for request in server.requests if request.method == "PUT"]


def test_a_listing_that_ends_in_the_middle(
    store: swift.SwiftStore, cloud: Tempauth, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"name": f"a/{n}", "bytes": 1, "last_modified": "2030-01-01T00:00:00.000000"} for n in range(2)]
    pages = iter([Answer(body=json.dumps(rows).encode()), Answer(404)])
    cloud.answer = lambda request: next(pages)
    monkeypatch.setattr(swift.SwiftStore, "max_listing", 2)
    with pytest.raises(errors.ConnectionFailed, match="the container existed before"):
        store.list("a/")


@pytest.mark.parametrize("call", ["stat", "list"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>down for maintenance</html>"),
        Answer(200, {"X-Timestamp": "nonsense"}, b'{"error": 1}'),
        Answer(200, {"X-Timestamp": "1e99"}, b'[{"name": "a/1", "bytes": 1}]'),
    ],
    ids=["page", "nonsense", "missing"],
)
def test_a_response_that_is_not_swifts(store: swift.SwiftStore, cloud: Tempauth, answer: Answer, call: str) -> None:
    cloud.answer = lambda request: answer
    with pytest.raises(errors.ConnectionFailed, match="container karbor: a/.*is not understood"):
        CALLS[call](store)


def test_a_container_that_cannot_be_created(store: swift.SwiftStore, cloud: Tempauth) -> None:
    cloud.answer = lambda request: Answer(404)
    with pytest.raises(errors.ConnectionFailed, match="could not be created"):
        store.put("a/b", b"x")


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"swift_auth_url": None}, "swift_auth_url"),
        ({"swift_user": None}, "swift_user"),
        ({"swift_key": ""}, "swift_key"),
        ({"swift_tenant_name": None}, "swift_tenant_name"),
        ({"swift_catalog_info": "object-store"}, "swift_catalog_info"),
        ({"swift_ca_cert_file": "/no/such/file"}, "swift_ca_cert_file"),
        ({"bank_swift_object_container": "a/b"}, "bank_swift_object_container"),
        ({"bank_swift_object_container": ""}, "bank_swift_object_container"),
    ],
)
def test_a_wrong_option_is_named(values: dict[str, object], option: str) -> None:
    good = {"swift_auth_url": "http://k/v3", "swift_user": "u", "swift_key": "k", "swift_tenant_name": "t"}
    swift.SwiftStore.from_conf(configured(**good))
    with pytest.raises(exception.ConfigurationError, match=option):
        swift.SwiftStore.from_conf(configured(**{**good, **values}))


def test_retries_are_configurable() -> None:
    conf = configured(swift_retry_attempts=3, swift_retry_backoff=2.0)
    assert swift.SwiftStore.retry_policy(conf) == base.RetryPolicy(attempts=3, backoff=2.0)


class Keystone:
    """A Keystone with tokens and a catalog, and a Swift with one object."""

    def __init__(self, catalog: bool = True, status: int = 201) -> None:
        self.catalog = catalog
        self.status = status
        self.asked: dict = {}
        self.tokens = 0
        self.is_expired: Callable[[str], bool] = lambda token: False

    def __call__(self, request: Request) -> Answer:
        url = f"http://{request.headers['Host']}"
        if request.path == "/identity":
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{url}/identity/v3"}]}
            return Answer(
                300, {"Content-Type": "application/json"}, json.dumps({"versions": {"values": [version]}}).encode()
            )
        if request.path == "/identity/v3/auth/tokens":
            self.asked = json.loads(request.body)["auth"]
            self.tokens += 1
            headers = {"X-Subject-Token": f"token-{self.tokens}", "Content-Type": "application/json"}
            return Answer(self.status, headers, json.dumps({"token": self._token(url)}).encode())
        token = request.headers["X-Auth-Token"]
        assert token in {f"token-{number + 1}" for number in range(self.tokens)}
        assert request.path == "/v1/AUTH_p/karbor/a/b"
        if self.is_expired(token):
            return Answer(401)
        return Answer(body=b"content")

    def _token(self, url: str) -> dict:
        endpoints = [
            {"interface": "public", "region": region, "region_id": region, "url": at, "id": region}
            for region, at in (("One", f"{url}/v1/AUTH_p"), ("Two", "http://127.0.0.1:1/other"))
        ]
        swift_service = {"type": "object-store", "name": "swift", "id": "s", "endpoints": endpoints}
        return {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "catalog": [swift_service] if self.catalog else [],
            "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
            "project": {"id": "p", "name": "t", "domain": {"id": "d", "name": "d"}},
        }


def keystoned(keystone: scripted.Server, **values: object) -> swift.SwiftStore:
    options = {"swift_user": "u", "swift_key": "k", "swift_tenant_name": "t", "swift_region_name": "One", **values}
    return swift.SwiftStore.from_conf(configured(swift_auth_url=f"{keystone.url}/identity", **options))


def test_swift_is_found_in_keystones_catalog() -> None:
    keystone = Keystone()
    with scripted.serving(keystone) as server:
        assert keystoned(server, swift_user_domain_name="people").get("a/b") == b"content"
    assert keystone.asked["identity"]["password"]["user"]["domain"]["name"] == "people"
    assert keystone.asked["scope"]["project"] == {"name": "t", "domain": {"name": "Default"}}


def test_threads_renew_an_expired_token_at_the_same_time() -> None:
    """Each may find that another one has discarded the token."""
    keystone, ready = Keystone(), threading.Barrier(2)

    def is_expired(token: str) -> bool:
        if token != f"token-{first}":
            return False
        ready.wait(60)  # both threads are refused before either signs in again
        return True

    def read(store: swift.SwiftStore) -> bytes:
        store.get("a/b")
        if ready.wait(60) == 0:
            keystone.is_expired = is_expired
        ready.wait(60)
        return store.get("a/b")

    with scripted.serving(keystone) as server, ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            first, keystone.is_expired = keystone.tokens + 1, lambda token: False
            assert list(threads.map(read, [keystoned(server)] * 2)) == [b"content"] * 2


def test_another_endpoint_than_in_the_catalog() -> None:
    with scripted.serving(Keystone()) as server:
        store = keystoned(server, swift_endpoint=f"{server.url}/v1/AUTH_p", swift_region_name="Three")
        assert store.get("a/b") == b"content"


@pytest.mark.parametrize("values", [{"swift_region_name": "Three"}, {"swift_catalog_info": "objects:x:internalURL"}])
def test_a_catalog_without_swift(values: dict[str, str]) -> None:
    with scripted.serving(Keystone()) as server, pytest.raises(errors.BankError, match="swift_catalog_info"):
        keystoned(server, **values).get("a/b")


@pytest.mark.parametrize(
    ("status", "error"), [(401, errors.AccessDenied), (500, errors.ConnectionFailed), (503, errors.ConnectionFailed)]
)
def test_keystone_refuses(status: int, error: type[errors.BankError]) -> None:
    with scripted.serving(Keystone(status=status)) as server, pytest.raises(error, match="Keystone"):
        keystoned(server).get("a/b")


def test_an_unreachable_keystone() -> None:
    store = swift.SwiftStore.from_conf(
        configured(swift_auth_url="http://127.0.0.1:1", swift_user="u", swift_key="k", swift_tenant_name="t")
    )
    with pytest.raises(errors.ConnectionFailed, match="Keystone"):
        store.get("a/b")


def test_a_file_with_ca_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    options = {"swift_auth_url": "http://k", "swift_user": "u", "swift_key": "k", "swift_tenant_name": "t"}
    store = swift.SwiftStore.from_conf(configured(**options, swift_ca_cert_file=str(tmp_path / "ca.pem")))
    connection = store._connect()
    assert connection.cacert == connection.session.verify == str(tmp_path / "ca.pem")
