"""Every connection to another service ends within its own limit if the peer accepts it and never answers.

The tests set the limits to fractions of a second. That a call returns at all, with the right error, is what they assert. If
it waited without a limit, pytest's own timeout would end it.
"""

import ast
import configparser
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import oslo_messaging
import pytest
import sqlalchemy as sa
import webob
from keystoneauth1 import loading
from oslo_config import cfg
from sqlalchemy import orm
from taskflow import exceptions as taskflow_exceptions

from karbor_like import exception, service
from karbor_like.api import app
from karbor_like.bank import errors as bank_errors
from karbor_like.bank import options as bank_options
from karbor_like.bank.keys.masters import CastellanMasterKeys
from karbor_like.bank.objectstore import base, factory
from karbor_like.clients import imagedata
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from karbor_like.conf import opts
from karbor_like.conf.clients import SERVICES
from karbor_like.context import RequestContext
from karbor_like.db import migration
from karbor_like.db import session as db_session
from karbor_like.db.session import Database
from karbor_like.protection.workflow.persistence import DatabasePersistence
from karbor_like.rpc import operationengine, protection, transport
from karbor_like.rpc.server import rpc_method
from karbor_like.sandbox.cloud import Sandbox
from tests.fixtures import configuration, silence
from tests.structure.source import ROOT

pytestmark = pytest.mark.timeout(120)

SECONDS = 0.2
#: Enough for the answers of a server on a busy machine.
HEALTHY_SECONDS = 3.0


@pytest.fixture
def silent() -> Iterator[silence.Peer]:
    with silence.peer() as peer:
        yield peer


#: The beginning of an answer over HTTP with 100 bytes, and of the first message of a database server and a broker.
BEGINNINGS: dict[str, bytes] = {
    "http": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    "mysql+pymysql": b"\x4a\x00\x00\x00\x0a8.0",
    "postgresql+psycopg2": b"R\x00\x00\x00\x17",
    "rabbit": b"\x01\x00\x00\x00\x00\x01",
}


@pytest.fixture
def stalling(request) -> Iterator[silence.Peer]:
    """A peer that stops in the middle of its first answer, by default one over HTTP."""
    with silence.peer(first=BEGINNINGS[getattr(request, "param", "http")]) as peer:
        yield peer


# The database.


def limited(url: str, seconds: float = SECONDS) -> Database:
    """Return the database at *url* with limits of *seconds*."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    db_session.register(conf)
    limits = {"connection": url, "connect_timeout": seconds, "statement_timeout": seconds}
    limits |= {"max_retries": 1, "retry_interval": 0}
    for name, value in limits.items():
        conf.set_override(name, value, "database")
    return Database(conf)


DRIVERS = ("mysql+pymysql", "postgresql+psycopg2")


@pytest.fixture(params=DRIVERS)
def database(request, silent) -> Iterator[Database]:
    database = limited(f"{request.param}://user:secret@127.0.0.1:{silent.port}/karbor_like")
    yield database
    database.dispose()


def assert_unavailable(error: Exception | None) -> None:
    assert db_session.unavailable(error) is not None


def test_a_query_ends(database, silent):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is checked below
        database.ping()
    assert_unavailable(caught.value)
    assert silent.reached.is_set()


def test_a_question_for_the_version_of_the_schema_ends(database):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is checked below
        migration.version(database)
    assert_unavailable(caught.value)


def test_the_start_of_a_service_waits_as_long_as_configured(database):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is checked below
        database.wait()
    assert_unavailable(caught.value)


@pytest.mark.parametrize(("driver", "stalling"), [(driver, driver) for driver in DRIVERS], indirect=["stalling"])
def test_a_query_ends_when_the_server_stops_in_its_first_message(driver, stalling):
    database = limited(f"{driver}://user:secret@127.0.0.1:{stalling.port}/karbor_like")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is checked below
        database.ping()
    assert_unavailable(caught.value)
    assert stalling.reached.is_set()
    database.dispose()


class Holder:
    """Runs a flow, and waits for no outage."""

    def fence(self, connection):
        """Hold every flow."""

    def outlast(self, call):
        return call()


def test_reading_a_flow_ends(database):
    backend = DatabasePersistence(database).backend(Holder())
    with pytest.raises(taskflow_exceptions.StorageFailure) as caught:
        backend.get_connection().get_flow_details("a flow")
    assert_unavailable(caught.value.__cause__)


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("mariadb", "postgresql")])
def proxied(request) -> Iterator[tuple[Database, silence.Peer]]:
    """A database, and the proxy in front of its server."""
    server = request.getfixturevalue(request.param)
    url = server.new_database()
    with silence.peer(server.port) as peer:
        database = limited(url.replace(f":{server.port}/", f":{peer.port}/"), HEALTHY_SECONDS)
        yield database, peer
        database.dispose()
    server.drop(url)


def test_a_query_ends_when_the_server_falls_silent(proxied):
    database, peer = proxied
    database.ping()
    peer.fall_silent()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is checked below
        database.ping()
    assert_unavailable(caught.value)
    peer.resume()
    database.ping()


def test_a_transaction_ends_when_the_server_falls_silent(proxied):
    database, peer = proxied
    attempts = 0

    def work(session: orm.Session) -> int:
        nonlocal attempts
        attempts += 1
        session.execute(sa.select(1))
        if attempts == 1:
            peer.fall_silent()
            try:
                session.execute(sa.select(1))
            finally:
                peer.resume()
        return attempts

    assert database.write(work) == 2, "it is repeated like one whose connection was closed"


# The message bus.


def bus(path: Path, url: str, seconds: int = 1) -> cfg.ConfigOpts:
    """Return the configuration of a service on the bus at *url*, with limits of *seconds*."""
    limits = {"rpc_response_timeout": seconds}
    file = configuration.write_service(
        path, transport_url=url, DEFAULT=limits, oslo_messaging_rabbit={"heartbeat_timeout_threshold": seconds}
    )
    return service.configure([], files=[str(file)])


@pytest.fixture
def bus_conf(silent, tmp_path) -> cfg.ConfigOpts:
    return bus(tmp_path / "karbor_like.conf", f"rabbit://guest:guest@127.0.0.1:{silent.port}/")


CALLS = {
    "ping": lambda conf: protection.ProtectionClient(conf).ping(RequestContext(), timeout=SECONDS),
    "call": lambda conf: protection.ProtectionClient(conf).cancel(RequestContext(), operation_id="o"),
    "engine": lambda conf: operationengine.OperationEngineClient(conf).make_trust(
        RequestContext(), scheduled_operation_id="s"
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_over_the_bus_ends(call, bus_conf):
    with pytest.raises(exception.BusUnavailable):
        CALLS[call](bus_conf)


@pytest.mark.parametrize("stalling", ["rabbit"], indirect=True)
def test_a_call_over_a_bus_that_stops_in_its_first_message_ends(stalling, tmp_path):
    conf = bus(tmp_path / "karbor_like.conf", f"rabbit://guest:guest@127.0.0.1:{stalling.port}/")
    with pytest.raises(exception.BusUnavailable):
        CALLS["ping"](conf)
    assert stalling.reached.is_set()


def test_an_abandoned_call_is_not_tried_for_ever(bus_conf):
    with pytest.raises(exception.BusUnavailable):
        CALLS["ping"](bus_conf)
    until_given_up("rpc-ping")


def test_hints_do_not_wait_for_the_bus_and_calls_go_on_to_end(bus_conf):
    client = protection.ProtectionClient(bus_conf)
    for _ in range(200):
        client.wake(RequestContext())
    with pytest.raises(exception.BusUnavailable):
        client.ping(RequestContext(), timeout=SECONDS)


def until_given_up(name: str) -> None:
    """Return when the threads *name* have ended, although the bus is unreachable. Else pytest's timeout ends the test."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join()


@pytest.fixture
def refused() -> Iterator[str]:
    """The URL of a bus at a port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"rabbit://guest:guest@127.0.0.1:{bound.getsockname()[1]}/"


@pytest.mark.parametrize("peer", ["accepts", "refuses"])
def test_the_start_of_a_server_waits_for_the_bus_until_the_service_stops(peer, silent, refused, tmp_path, caplog):
    url = refused if peer == "refuses" else f"rabbit://guest:guest@127.0.0.1:{silent.port}/"
    conf = bus(tmp_path / "karbor_like.conf", url)
    connection = transport.get(conf)
    target = oslo_messaging.Target(topic=protection.TOPIC, server="here", version=protection.VERSION)
    server = transport.server(conf, connection, target, Endpoint())

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == transport.__name__]

    asked = itertools.count()
    # It asks some times more, during which nothing is said again.
    assert server.start(lambda: bool(said()) and next(asked) > 9) is False
    server.stop()
    server.wait()
    transport.close(connection)
    assert len(said()) == 1
    assert said()[0].startswith("This service answers no calls until the message bus answers")
    until_given_up("rpc-server")
    assert peer == "refuses" or silent.reached.is_set()


class Endpoint:
    target = oslo_messaging.Target(version=protection.VERSION)

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    @rpc_method
    def ping(self, ctxt: RequestContext) -> dict[str, str]:
        return {"host": "here"}

    @rpc_method
    def cancel(self, ctxt: RequestContext, operation_id: str) -> None:
        self.cancelled.append(operation_id)


@pytest.fixture
def rpc_service(transport_url, tmp_path) -> Iterator[Endpoint]:
    """A service that reaches the bus."""
    conf = bus(tmp_path / "service.conf", transport_url, 60)
    connection = transport.get(conf)
    target = oslo_messaging.Target(topic=protection.TOPIC, server="here", version=protection.VERSION)
    endpoint = Endpoint()
    server = transport.server(conf, connection, target, endpoint)
    server.start()
    yield endpoint
    server.stop()
    server.wait()
    transport.close(connection)


@pytest.fixture
def front(rabbitmq) -> Iterator[silence.Peer]:
    """A proxy in front of the broker."""
    with silence.peer(rabbitmq.port) as peer:
        yield peer


@pytest.fixture
def client(rabbitmq, transport_url, front, rpc_service, tmp_path) -> protection.ProtectionClient:
    """A client that reaches the bus through the proxy."""
    url = transport_url.replace(f":{rabbitmq.port}/", f":{front.port}/")
    conf = bus(tmp_path / "client.conf", url, 3)
    key = configparser.RawConfigParser()
    key.read(tmp_path / "service.conf")
    conf.set_override("keys", [key["secret"]["keys"]], "secret")
    return protection.ProtectionClient(conf)


def until_it_answers(client: protection.ProtectionClient) -> None:
    """Return when the client has a connection. Else pytest's timeout ends the test."""
    while True:
        with contextlib.suppress(exception.BusUnavailable):
            client.ping(RequestContext(), timeout=1)
            return


def sending() -> int:
    """Return the number of calls that are still in flight, after their callers have given up."""
    return sum(thread.name == "rpc-cancel" for thread in threading.enumerate())


@pytest.mark.rabbitmq
def test_calls_end_when_the_bus_falls_silent(client, front, rpc_service):
    until_it_answers(client)
    client.cancel(RequestContext(), operation_id="first")
    front.fall_silent()
    with pytest.raises(exception.BusUnavailable):
        client.ping(RequestContext(), timeout=0.5)
    with pytest.raises(exception.BusUnavailable):
        client.cancel(RequestContext(), operation_id="lost")
    front.resume()
    until_it_answers(client)
    client.cancel(RequestContext(), operation_id="last")
    assert rpc_service.cancelled == ["first", "last"]
    client.close()


@pytest.mark.rabbitmq
def test_a_call_that_was_given_up_is_not_carried_out_when_the_bus_is_back(client, front, rpc_service):
    front.fall_silent()
    with pytest.raises(exception.BusUnavailable):
        client.cancel(RequestContext(), operation_id="late")
    front.resume()
    until_it_answers(client)
    while sending():
        time.sleep(0.05)  # for a message that must not be sent; there is nothing else to wait for
    client.cancel(RequestContext(), operation_id="last")
    assert rpc_service.cancelled == ["last"]
    client.close()


# Keystone, for the tokens of requests.


@pytest.mark.parametrize("peer", ["silent", "stalling"])
def test_a_request_with_an_unknown_token_ends(peer, request, tmp_path):
    silent = request.getfixturevalue(peer)
    authtoken = {
        "www_authenticate_uri": silent.url,
        "auth_type": "password",
        "auth_url": silent.url,
        "username": "karbor",
        "password": "secret",
        "http_connect_timeout": 1,
        "http_request_max_retries": 0,
    }
    path = configuration.write_service(tmp_path / "karbor_like.conf", keystone_authtoken=authtoken)
    deps = app.create_context(service.configure([], files=[str(path)]))
    asked = webob.Request.blank("/v1/p/plans", headers={"X-Auth-Token": "unknown"})

    response = asked.get_response(app.build(deps))

    assert (response.status_int, response.json["serviceUnavailable"]["type"]) == (503, "service.unavailable")
    assert silent.reached.is_set()
    deps.database.dispose()


def test_keystone_has_a_limit_by_default(tmp_path):
    path = configuration.write_service(tmp_path / "karbor_like.conf")
    conf = service.configure([], files=[str(path)])
    app.keystone(webob.Response(), conf)
    assert (conf.keystone_authtoken.http_connect_timeout, conf.keystone_authtoken.http_request_max_retries) == (5, 1)


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("cloud")) as sandbox:
        yield sandbox


@pytest.fixture
def cloud(shared_cloud) -> Iterator[Sandbox]:
    """A healthy cloud."""
    yield shared_cloud
    shared_cloud.clear_faults()


def test_tokens_that_are_known_are_accepted_while_keystone_is_silent(cloud, tmp_path):
    authtoken = {
        "www_authenticate_uri": cloud.auth_url,
        "auth_type": "password",
        "http_connect_timeout": 1,
        "http_request_max_retries": 0,
        **cloud.credentials("karbor"),
    }
    path = configuration.write_service(tmp_path / "karbor_like.conf", keystone_authtoken=authtoken)
    protected = app.keystone(webob.Response("let in"), service.configure([], files=[str(path)]))

    def ask(token: str) -> int:
        return webob.Request.blank("/", headers={"X-Auth-Token": token}).get_response(protected).status_int

    known, unknown = (cloud.session().get_token() for _ in range(2))
    assert ask(known) == 200
    cloud.fault(service="identity", kind="stall", where="request", times=0)
    assert ask(known) == 200
    with pytest.raises(exception.Unavailable, match="Keystone does not answer"):
        ask(unknown)


# The other services of a cloud.


@pytest.fixture
def cloud_conf(silent) -> cfg.ConfigOpts:
    return cloud_at(silent)


def cloud_at(silent: silence.Peer) -> cfg.ConfigOpts:
    """Return the configuration with which all services of the cloud are at *silent*."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    opts.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    account = {"auth_url": silent.url, "username": "karbor", "password": "secret"}
    account |= {"user_domain_id": "default", "project_id": "service"}
    for name, value in account.items():
        conf.set_override(name, value, "service_auth")
    conf.set_override("allowed_urls", [silent.url], "restore_target")
    conf.set_override("k8s_host", silent.url, "k8s_client")
    conf.set_override("timeout", SECONDS, "k8s_client")
    conf.set_override("namespaces", {"p": "namespace"}, "pod_protectable")
    for group in ("service_auth", "restore_target", *(f"{name}_client" for name in SERVICES)):
        conf.set_override("timeout", SECONDS, group)
        if group.endswith("_client"):
            conf.set_override("endpoint_override", silent.url, group)
    return conf


@pytest.fixture
def clients(cloud_conf) -> Clients:
    return clients_in(cloud_conf)


def clients_in(conf: cfg.ConfigOpts) -> Clients:
    context = RequestContext(auth_token="token", user_id="alice", project_id="p")
    return ClientFactory(conf).for_context(context)


@pytest.fixture
def dripping() -> Iterator[silence.Peer]:
    """A peer whose responses have no end."""
    with silence.peer(drip=True) as peer:
        yield peer


#: A request of each client.
REQUESTS: dict[str, Callable[[Clients], object]] = {
    "cinder": lambda clients: clients.cinder().volumes.list(),
    "glance": lambda clients: list(clients.glance().images.list()),
    "nova": lambda clients: clients.nova().servers.list(),
    "neutron": lambda clients: clients.neutron().list("networks"),
    "trove": lambda clients: clients.trove().list("instances"),
    "heat": lambda clients: list(clients.heat().stacks.list()),
    "manila": lambda clients: clients.manila().list("shares"),
    "keystone": lambda clients: clients.keystone().get("/projects"),
    "data_protect": lambda clients: clients.client("data_protect").get("/plans"),
}


def test_each_service_has_a_request():
    assert set(REQUESTS) == set(SERVICES)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_to_a_service_ends(name, clients, silent):
    with pytest.raises(exception.Unavailable), translated(name):
        REQUESTS[name](clients)
    assert silent.reached.is_set()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_ends_when_the_service_stops_in_its_answer(name, stalling):
    with pytest.raises(exception.Unavailable), translated(name):
        REQUESTS[name](clients_in(cloud_at(stalling)))
    assert stalling.reached.is_set()


@pytest.mark.parametrize("peer", ["silent", "stalling"])
def test_a_request_to_kubernetes_ends(peer, request):
    found = request.getfixturevalue(peer)
    with pytest.raises(exception.Unavailable), translated("pods"):
        clients_in(cloud_at(found)).kubernetes().pods()
    assert found.reached.is_set()


def test_transfers_of_images_end(clients):
    waiter = Waiter(ManualClock(), transfer_retries=1)
    with pytest.raises(exception.Unavailable):
        list(imagedata.download(clients, "image", 1, waiter))
    with pytest.raises(exception.Unavailable):
        imagedata.upload(clients, "image", [b"x"])


def test_a_download_that_stops_in_the_middle_ends(stalling):
    waiter = Waiter(ManualClock(), transfer_retries=1)
    with pytest.raises(exception.Unavailable):
        list(imagedata.download(clients_in(cloud_at(stalling)), "image", 100, waiter))


def test_an_upload_that_the_peer_does_not_read_ends(clients):
    """More than the buffers of both ends take."""
    with pytest.raises(exception.Unavailable):
        imagedata.upload(clients, "image", itertools.repeat(bytes(1 << 20), 64))


def test_a_request_whose_response_has_no_end_ends(dripping):
    with pytest.raises(exception.Unavailable, match="timed out"), translated("projects"):
        clients_in(cloud_at(dripping)).keystone().get("/projects")


def test_signing_in_ends(cloud_conf, silent):
    cloud_conf.set_override("auth_type", "v3password", "service_auth")
    factory = ClientFactory(cloud_conf)
    with pytest.raises(exception.Unavailable):
        factory.service_user_id()
    with pytest.raises(exception.Unavailable):
        factory.for_target(silent.url, {"username": "alice", "password": "secret", "project_id": "p"})


# Banks, and key managers.

_SWIFT = {"swift_user": "u", "swift_key": "k", "swift_timeout": SECONDS, "swift_retry_attempts": 1}
_S3 = {"s3_access_key": "k", "s3_secret_key": "s", "s3_timeout": SECONDS, "s3_retry_attempts": 1}

#: Options of the driver, which has the same URL for everything. None: the driver uses no network.
BANKS: dict[str, Callable[[str], dict[str, object]] | None] = {
    "filesystem": None,
    "s3": lambda url: {"s3_endpoint": url, **_S3},
    "swift": lambda url: {"swift_auth_url": url, "swift_tenant_name": "p", **_SWIFT},
    "swift, TempAuth": lambda url: {"swift_auth_url": url, "swift_auth_version": "1", **_SWIFT},
}
NETWORK_BANKS = {name: options for name, options in BANKS.items() if options}

OBJECT_CALLS: dict[str, Callable[[base.ObjectStore], object]] = {
    "put": lambda store: store.put("a/b", b"x"),
    "get": lambda store: store.get("a/b"),
    "stat": lambda store: store.stat("a/b"),
    "delete": lambda store: store.delete("a/b"),
    "list": lambda store: store.list("a/"),
}


def test_each_bank_driver_has_options():
    # A driver may have several names.
    drivers = metadata.entry_points(group=factory.NAMESPACE)
    named = {name.partition(",")[0] for name in BANKS}
    assert {entry.value for entry in drivers if entry.name in named} == {entry.value for entry in drivers}


def store_at(url: str, bank: str) -> base.ObjectStore:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    (entry,) = metadata.entry_points(group=factory.NAMESPACE, name=bank.partition(",")[0])
    driver = entry.load()
    for group, options in driver.options.items():
        conf.register_opts(options, group=group)
    for name, value in NETWORK_BANKS[bank](url).items():
        conf.set_override(name, value, driver.client_group)
    return factory.open_store(conf, entry.name, ManualClock())


@pytest.mark.parametrize("bank", NETWORK_BANKS)
def test_a_request_to_a_bank_ends(bank, silent):
    store = store_at(silent.url, bank)
    for call in OBJECT_CALLS.values():
        with pytest.raises(bank_errors.ConnectionFailed):
            call(store)
    assert silent.reached.is_set()
    store.close()


@pytest.mark.parametrize("bank", NETWORK_BANKS)
def test_a_request_to_a_bank_that_stops_in_its_answer_ends(bank, stalling):
    store = store_at(stalling.url, bank)
    with pytest.raises(bank_errors.ConnectionFailed):
        store.get("a/b")
    assert stalling.reached.is_set()
    store.close()


def test_an_object_that_the_bank_does_not_read_ends(silent):
    """More than the buffers of both ends take. Swift is asked for a token before."""
    store = store_at(silent.url, "s3")
    with pytest.raises(bank_errors.ConnectionFailed):
        store.put("a/b", [bytes(1 << 20)] * 32)
    store.close()


@pytest.mark.parametrize("bank", NETWORK_BANKS)
def test_a_response_of_a_bank_that_has_no_end_ends(bank, dripping):
    store = store_at(dripping.url, bank)
    with pytest.raises(bank_errors.ConnectionFailed, match="has not ended in 2 seconds"):
        store.get("a/b")


#: Options of castellan, by section.
KEY_MANAGERS: dict[str, Callable[[str], dict[str, dict[str, object]]]] = {
    "vault": lambda url: {"key_manager": {"backend": "vault"}, "vault": {"vault_url": url, "root_token_id": "t"}},
    "barbican": lambda url: {
        "key_manager": {"backend": "barbican", "auth_type": "keystone_password", "username": "u", "password": "p"}
        | {"auth_url": url},
        "barbican": {"auth_endpoint": url, "barbican_endpoint": url},
    },
}


@pytest.mark.parametrize("manager", KEY_MANAGERS)
def test_a_request_to_a_key_manager_ends(manager, silent):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    masters = CastellanMasterKeys(conf, ["key"], SECONDS)
    for group, values in KEY_MANAGERS[manager](silent.url).items():
        for name, value in values.items():
            conf.set_override(name, value, group)
    with pytest.raises(bank_errors.KeyManagerUnavailable, match="has not ended in 0.2 seconds"):
        masters.get("key")
    assert silent.reached.is_set()


# The inventory.

#: What opens connections. A module that uses one needs a test in this suite.
CONNECTING = {
    "requests.Session", "requests.request", "requests.get", "requests.post", "requests.put", "requests.delete",
    "urllib3.PoolManager", "urllib.request.urlopen", "http.client.HTTPConnection", "http.client.HTTPSConnection",
    "socket.create_connection", "socket.socket", "boto3.client", "boto3.session.Session", "swiftclient.Connection",
    "swiftclient.client.Connection", "smtplib.SMTP", "ftplib.FTP", "subprocess.run", "subprocess.check_output",
}  # fmt: skip

#: The modules that do so, whose connections the tests above end, or that only listen. test_archive_targets.py has silent
#: servers for the targets of archives, and the tests of the data path have silent storage.
CONNECTED = {
    "karbor_like/webserver.py": {"socket.socket"},
    "karbor_like/protection/connections.py": {"socket.socket"},
    "karbor_like/clients/http.py": {"requests.Session"},
    "karbor_like/bank/objectstore/s3.py": {"boto3.session.Session"},
    "karbor_like/bank/objectstore/swift.py": {"swiftclient.client.Connection"},
    "karbor_like/datapath/handshake.py": {"socket.socket"},
    "karbor_like/datapath/nbd.py": {"socket.socket"},
    "karbor_like/datapath/qemu.py": {"socket.socket"},
    "karbor_like/control/targets/ftp.py": {"ftplib.FTP"},
    "karbor_like/control/targets/http.py": {"requests.request"},
    "karbor_like/control/targets/rsync.py": {"subprocess.run"},
}


def connecting(path: Path) -> set[str]:
    """Return what a module uses of :data:`CONNECTING`, under the names by which the module imports it."""
    tree = ast.parse(path.read_text())
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.partition(".")[0]
                names |= {each.asname: each.name} if each.asname else {first: first}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    used = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)]
    parts = [text.partition(".") for text in used]
    return {f"{names[head]}{dot}{rest}" for head, dot, rest in parts if head in names} & CONNECTING


def test_each_module_that_opens_connections_is_known():
    """The other ones use a client of the factory, a store, the database or the bus, whose limits are tested above."""
    elsewhere = ("karbor_like/sandbox/", "karbor_like/testing/", "karbor_like/cmd/demo/")
    found = {}
    for package in ("karbor_like", "client/karbor_like_client"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name, used = str(path.relative_to(ROOT)), connecting(path)
            if used and not name.startswith(elsewhere):
                found[name] = used
    assert found == CONNECTED, "give its connections a limit, and test it with a peer that never answers"


# The documents.


def test_each_limit_is_in_the_table_for_operators():
    drivers = [entry.load() for entry in metadata.entry_points(group=factory.NAMESPACE)]
    groups = [*opts.list_opts(), ("bank", bank_options.OPTS)]
    groups += [item for driver in drivers for item in driver.options.items()]
    limits = {option.dest for _, options in groups for option in options if option.dest.endswith("timeout")}
    page = (ROOT / "doc" / "source" / "admin" / "operation.rst").read_text()
    assert {"timeout", "statement_timeout", "swift_timeout", "key_manager_timeout"} <= limits
    assert [limit for limit in sorted(limits) if f"{limit}``" not in page] == []
