"""Errors and truncated responses, which the S3 servers of the contract suite do not produce on demand."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib import parse

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, s3
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
    for group, options in s3.S3Store.options.items():
        conf.register_opts(options, group=group)
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        conf.set_override(name, value, group="s3_bank_plugin" if name.startswith("bank_") else "s3_client")
    return conf


def refusal(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
    return Answer(status, {"Content-Type": "application/xml"}, body)


@pytest.fixture(scope="module")
def running() -> Iterator[scripted.Server]:
    with scripted.serving(lambda request: Answer()) as server:
        yield server


@pytest.fixture
def server(running: scripted.Server) -> scripted.Server:
    running.requests.clear()
    running.answer = lambda request: Answer()
    return running


@pytest.fixture(scope="module")
def first(running: scripted.Server) -> Iterator[s3.S3Store]:
    options = {"s3_endpoint": running.url, "s3_access_key": "key-id", "s3_secret_key": "secret-key"}
    store = s3.S3Store.from_conf(configured(**options))
    yield store
    store.close()


@pytest.fixture
def store(first: s3.S3Store) -> s3.S3Store:
    """A new store with the same client, because boto3 is slow to create one."""
    return s3.S3Store(first._client, first._container, first._region)


@pytest.mark.parametrize("call", ["put", "get", "range", "list"])
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "InvalidArgument", errors.BankError),
        (400, "BadDigest", errors.ConnectionFailed),
        (400, "IncompleteBody", errors.ConnectionFailed),
        (400, "RequestTimeout", errors.ConnectionFailed),
        (401, "Whatever", errors.AccessDenied),
        (403, "AccessDenied", errors.AccessDenied),
        (403, "InvalidAccessKeyId", errors.AccessDenied),
        (400, "XMinioAdminBucketQuotaExceeded", errors.BankFull),
        (403, "QuotaExceeded", errors.BankFull),
        (405, "MethodNotAllowed", errors.AccessDenied),
        (409, "OperationAborted", errors.ConnectionFailed),
        (413, "EntityTooLarge", errors.BankFull),
        (429, "TooManyRequests", errors.ConnectionFailed),
        (500, "InternalError", errors.ConnectionFailed),
        (503, "SlowDown", errors.ConnectionFailed),
        (507, "InsufficientStorage", errors.BankFull),
    ],
)
def test_every_refusal_has_its_error(
    store: s3.S3Store, server: scripted.Server, status: int, code: str, error: type[errors.BankError], call: str
) -> None:
    server.answer = lambda request: refusal(status, code)
    with pytest.raises(error) as caught:
        CALLS[call](store)
    assert type(caught.value) is error
    assert code in str(caught.value)
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("call", ["stat", "delete"])
@pytest.mark.parametrize(
    ("status", "error"), [(403, errors.AccessDenied), (503, errors.ConnectionFailed), (507, errors.BankFull)]
)
def test_refusals_without_a_body(
    store: s3.S3Store, server: scripted.Server, status: int, error: type[errors.BankError], call: str
) -> None:
    server.answer = lambda request: Answer(status)
    with pytest.raises(error, match=str(status)):
        CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
def test_a_failed_call_is_not_repeated(store: s3.S3Store, server: scripted.Server, call: str) -> None:
    server.answer = lambda request: Answer(503)
    with pytest.raises(errors.ConnectionFailed):
        CALLS[call](store)
    assert len(server.requests) == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_dropped_connection(store: s3.S3Store, server: scripted.Server, call: str) -> None:
    server.answer = lambda request: Answer(drop=True)
    with pytest.raises(errors.ConnectionFailed, match="bucket karbor: a/"):
        CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
def test_an_unreachable_server(call: str) -> None:
    options = {"s3_endpoint": "http://127.0.0.1:1", "s3_access_key": "a", "s3_secret_key": "b"}
    with closing(s3.S3Store.from_conf(configured(**options))) as store, pytest.raises(errors.ConnectionFailed):
        CALLS[call](store)


def test_a_truncated_response_is_detected(store: s3.S3Store, server: scripted.Server) -> None:
    server.answer = lambda request: Answer(body=b"0123456789", cut=4)
    with pytest.raises(errors.ConnectionFailed):
        store.get("a/b")


def test_the_server_can_check_what_is_put(store: s3.S3Store, server: scripted.Server) -> None:
    store.put("a/b", [b"ab", b"cd"])
    request = server.requests[-1]
    assert request.body == b"abcd"
    digest = hashlib.md5(b"abcd", usedforsecurity=False).digest()
    assert request.headers["Content-MD5"] == base64.b64encode(digest).decode()


def test_the_first_put_creates_the_bucket(store: s3.S3Store, server: scripted.Server) -> None:
    methods: list[str] = []

    def answer(request: Request) -> Answer:
        if request.path == "/karbor":
            methods.append(request.method)
            return refusal(409, "BucketAlreadyOwnedByYou")  # another service was faster
        return Answer() if methods else refusal(404, "NoSuchBucket")

    server.answer = answer
    store.put("a/b", [b"x", b"y"])
    assert methods == ["PUT"]
    assert server.requests[-1].body == b"xy"


def test_two_concurrent_first_puts(store: s3.S3Store, server: scripted.Server) -> None:
    requested, created, done = threading.Event(), threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        if request.path == "/karbor":
            created.set()
            return Answer()
        exists = created.is_set()
        if request.path.endswith("/slow") and not exists:
            requested.set()
            assert done.wait(30)
        return Answer() if exists else refusal(404, "NoSuchBucket")

    server.answer = answer
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.put, "a/slow", b"x")
        assert requested.wait(30)
        store.put("a/quick", b"y")
        done.set()
        slow.result(30)
    assert server.requests[-1].body == b"x"


def test_a_bucket_that_existed_before_is_not_empty(store: s3.S3Store, server: scripted.Server) -> None:
    server.answer = lambda request: refusal(404, "NoSuchBucket")
    assert list(store.list("a/", marker="a/b")) == []
    with pytest.raises(errors.ObjectNotFound):
        store.get("a/b")
    server.answer = lambda request: Answer()
    store.get("a/b")
    server.answer = lambda request: refusal(404, "NoSuchBucket")
    server.requests.clear()
    for call in ("put", "get", "range", "list"):
        with pytest.raises(errors.ConnectionFailed, match="bucket karbor: a/.*the bucket existed before"):
            CALLS[call](store)
    assert "/karbor" not in [request.path for request in server.requests if request.method == "PUT"]


def listing(keys: list[str], *, truncated: bool, token: str = "") -> Answer:
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2030-01-01T00:00:00Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f"<ListBucketResult><IsTruncated>{str(truncated).lower()}</IsTruncated>{more}{rows}</ListBucketResult>"
    return Answer(200, {"Content-Type": "application/xml"}, body.encode())


def test_a_page_of_a_listing_may_be_empty(store: s3.S3Store, server: scripted.Server) -> None:
    pages = iter([
        listing(["a/1"], truncated=True, token="one"),
        listing([], truncated=True, token="two"),
        listing(["a/2"], truncated=False),
    ])  # fmt: skip
    server.answer = lambda request: next(pages)
    assert [info.key for info in store.list("a/")] == ["a/1", "a/2"]
    asked = [parse.parse_qs(parse.urlsplit(request.path).query) for request in server.requests]
    assert [query.get("continuation-token") for query in asked] == [None, ["one"], ["two"]]


def test_a_listing_that_ends_in_the_middle(store: s3.S3Store, server: scripted.Server) -> None:
    server.answer = lambda request: listing(["a/1"], truncated=True)
    with pytest.raises(errors.ConnectionFailed, match="without a continuation token"):
        store.list("a/")
    pages = iter([listing(["a/1"], truncated=True, token="one"), refusal(404, "NoSuchBucket")])
    server.answer = lambda request: next(pages)
    with pytest.raises(errors.ConnectionFailed, match="the bucket existed before"):
        store.list("a/")


ROW = {"Key": "a/1", "Size": "1", "LastModified": "2030-01-01T00:00:00Z"}


def xml(**members: str) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in members.items())


def without(name: str) -> str:
    return xml(Contents=xml(**{key: value for key, value in ROW.items() if key != name}), IsTruncated="false")


def document(members: str) -> Answer:
    return Answer(200, {"Content-Type": "application/xml"}, f"<ListBucketResult>{members}</ListBucketResult>".encode())


def test_a_listing_need_not_say_that_it_is_complete(store: s3.S3Store, server: scripted.Server) -> None:
    pages = iter([xml(NextContinuationToken="one", Contents=xml(**ROW)), xml(Name="karbor")])
    server.answer = lambda request: document(next(pages))
    assert [info.key for info in store.list("a/")] == ["a/1"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html><body>down for maintenance</body></html>"),
        Answer(),
        *(document(without(name)) for name in ROW),
        document(xml(Contents=xml(**{**ROW, "Size": "many"}))),
        document(xml(Contents=xml(**{**ROW, "LastModified": "noon"}))),
        document(xml(Contents=xml(**ROW) + xml(Size="2"))),
    ],
    ids=["page", "nothing", *ROW, "size", "time", "twice"],
)
def test_a_listing_that_is_none(store: s3.S3Store, server: scripted.Server, answer: Answer) -> None:
    server.answer = lambda request: answer
    with pytest.raises(errors.ConnectionFailed, match="bucket karbor: a/.*is not understood"):
        store.list("a/")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(200, {"Last-Modified": "nonsense"}),
        # To itself, so that boto3 follows it again and again.
        Answer(301),
    ],
    ids=["without a time", "nonsense", "endless"],
)
@pytest.mark.parametrize("call", ["stat", "delete"])
def test_a_head_that_is_none(store: s3.S3Store, server: scripted.Server, answer: Answer, call: str) -> None:
    server.answer = lambda request: answer
    with pytest.raises(errors.ConnectionFailed, match="bucket karbor: a/b.*is not understood"):
        CALLS[call](store)


def test_a_redirection_without_an_error(store: s3.S3Store, server: scripted.Server) -> None:
    server.answer = lambda request: Answer(300)
    with pytest.raises(errors.BankError, match="answered 300"):
        store.get("a/b")


def test_a_bucket_of_another_account(store: s3.S3Store, server: scripted.Server) -> None:
    server.answer = lambda request: refusal(
        *((409, "BucketAlreadyExists") if request.path == "/karbor" else (404, "No"))
    )
    with pytest.raises(errors.AccessDenied, match="BucketAlreadyExists"):
        store.put("a/b", b"x")


def test_a_bucket_is_created_in_its_region(server: scripted.Server) -> None:
    options = {"s3_endpoint": server.url, "s3_access_key": "a", "s3_secret_key": "b", "s3_region": "eu-north-1"}
    server.answer = lambda request: Answer() if request.path == "/karbor" or "/karbor" in paths() else Answer(404)

    def paths() -> list[str]:
        return [request.path for request in server.requests]

    with closing(s3.S3Store.from_conf(configured(**options))) as store:
        store.put("a/b", b"x")
    assert b"<LocationConstraint>eu-north-1" in next(r.body for r in server.requests if r.path == "/karbor")


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"s3_access_key": None}, "s3_access_key"),
        ({"s3_secret_key": ""}, "s3_secret_key"),
        ({"s3_region": ""}, "s3_region"),
        ({"s3_endpoint": "nonsense"}, "nonsense"),
        ({"s3_ca_cert_file": "/no/such/file"}, "s3_ca_cert_file"),
        ({"bank_s3_object_bucket": "a/b"}, "bank_s3_object_bucket"),
        ({"bank_s3_object_bucket": ""}, "bank_s3_object_bucket"),
        ({"bank_s3_object_bucket": "Upper"}, "bank_s3_object_bucket"),
    ],
)
def test_a_wrong_option_is_named(values: dict[str, object], option: str) -> None:
    good = {"s3_endpoint": "http://s3", "s3_access_key": "a", "s3_secret_key": "b"}
    s3.S3Store.from_conf(configured(**good)).close()
    with pytest.raises(exception.ConfigurationError, match=option):
        s3.S3Store.from_conf(configured(**{**good, **values}))


def test_retries_are_configurable() -> None:
    conf = configured(s3_retry_attempts=3, s3_retry_backoff=2.0)
    assert s3.S3Store.retry_policy(conf) == base.RetryPolicy(attempts=3, backoff=2.0)
