"""Every connection to another service ends within its own limit if the peer accepts it and never answers.

The tests set the limits to fractions of a second. That a call returns at all, with the right error, is what they assert. If
it waited without a limit, pytest's own timeout would end it.
"""

from collections.abc import Callable, Iterator
from importlib import metadata

import oslo_messaging
import pytest
import webob
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_messaging.rpc import client as oslo_rpc_client
from taskflow import exceptions as taskflow_exceptions

from karbor_like import exception, service
from karbor_like.api import app
from karbor_like.bank import errors as bank_errors
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
from karbor_like.rpc import operationengine, protection
from karbor_like.sandbox.cloud import Sandbox
from tests.fixtures import configuration, silence

pytestmark = pytest.mark.timeout(120)

SECONDS = 0.2


@pytest.fixture
def silent() -> Iterator[silence.Peer]:
    with silence.peer() as peer:
        yield peer


# The database.


def limited(url: str) -> Database:
    """Return the database at *url* with short limits."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    db_session.register(conf)
    limits = {"connection": url, "connect_timeout": SECONDS, "statement_timeout": SECONDS}
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


def test_reading_a_flow_ends(database):
    backend = DatabasePersistence(database).backend(lambda connection: None)
    with pytest.raises(taskflow_exceptions.StorageFailure) as caught:
        backend.get_connection().get_flow_details("a flow")
    assert_unavailable(caught.value.__cause__)


# The message bus.


@pytest.fixture
def bus_conf(silent, tmp_path) -> cfg.ConfigOpts:
    url = f"rabbit://guest:guest@127.0.0.1:{silent.port}/"
    path = configuration.write_service(tmp_path / "karbor_like.conf", transport_url=url)
    conf = service.configure([], files=[str(path)])
    oslo_messaging.get_rpc_transport(conf).cleanup()  # registers its options
    conf.register_opts(oslo_rpc_client._client_opts)
    conf.set_override("rpc_response_timeout", 1)
    return conf


CALLS = {
    "ping": lambda conf: protection.ProtectionClient(conf).ping(RequestContext(), timeout=SECONDS),
    "call": lambda conf: protection.ProtectionClient(conf).cancel(RequestContext(), operation_id="o"),
    "engine": lambda conf: operationengine.OperationEngineClient(conf).ensure_trust(RequestContext()),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_over_the_bus_ends(call, bus_conf):
    with pytest.raises(exception.BusUnavailable):
        CALLS[call](bus_conf)


def test_hints_do_not_wait_for_the_bus_and_calls_go_on_to_end(bus_conf):
    client = protection.ProtectionClient(bus_conf)
    for _ in range(200):
        client.wake(RequestContext())
    with pytest.raises(exception.BusUnavailable):
        client.ping(RequestContext(), timeout=SECONDS)


# Keystone, for the tokens of requests.


def test_a_request_with_an_unknown_token_ends(silent, tmp_path):
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
    request = webob.Request.blank("/v1/p/plans", headers={"X-Auth-Token": "unknown"})

    response = request.get_response(app.build(deps))

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
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    opts.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    account = {"auth_url": silent.url, "username": "karbor", "password": "secret"}
    account |= {"user_domain_id": "default", "project_id": "service"}
    for name, value in account.items():
        conf.set_override(name, value, "service_auth")
    conf.set_override("allowed_urls", [silent.url], "restore_target")
    for group in ("service_auth", "restore_target", *(f"{name}_client" for name in SERVICES)):
        conf.set_override("timeout", SECONDS, group)
        if group.endswith("_client"):
            conf.set_override("endpoint_override", silent.url, group)
    return conf


@pytest.fixture
def clients(cloud_conf) -> Clients:
    context = RequestContext(auth_token="token", user_id="alice", project_id="p")
    return ClientFactory(cloud_conf).for_context(context)


#: A request of each client.
REQUESTS: dict[str, Callable[[Clients], object]] = {
    "cinder": lambda clients: clients.cinder().volumes.list(),
    "glance": lambda clients: list(clients.glance().images.list()),
    "nova": lambda clients: clients.nova().servers.list(),
    "heat": lambda clients: list(clients.heat().stacks.list()),
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


def test_transfers_of_images_end(clients):
    waiter = Waiter(ManualClock(), transfer_retries=1)
    with pytest.raises(exception.Unavailable):
        list(imagedata.download(clients, "image", 1, waiter))
    with pytest.raises(exception.Unavailable):
        imagedata.upload(clients, "image", [b"x"])


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
    assert {name.partition(",")[0] for name in BANKS} == metadata.entry_points(group=factory.NAMESPACE).names


@pytest.mark.parametrize("bank", NETWORK_BANKS)
def test_a_request_to_a_bank_ends(bank, silent):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    driver = bank.partition(",")[0]
    (entry,) = metadata.entry_points(group=factory.NAMESPACE, name=driver)
    group = entry.load().client_group
    for each, options in entry.load().options.items():
        conf.register_opts(options, group=each)
    for name, value in NETWORK_BANKS[bank](silent.url).items():
        conf.set_override(name, value, group)
    store = factory.open_store(conf, driver, ManualClock())
    for call in OBJECT_CALLS.values():
        with pytest.raises(bank_errors.ConnectionFailed):
            call(store)
    assert silent.reached.is_set()
    store.close()


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
    with pytest.raises(bank_errors.KeyUnavailable, match="has not ended in 0.2 seconds"):
        masters.get("key")
    assert silent.reached.is_set()
