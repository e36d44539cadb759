"""Every connection to another service ends within its own limit if the peer accepts it and never answers.

The tests set the limits to fractions of a second. That a call returns at all, with the right error, is what they assert. If
it waited without a limit, pytest's own timeout would end it.
"""

from collections.abc import Iterator

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging.rpc import client as oslo_rpc_client
from taskflow import exceptions as taskflow_exceptions

from karbor_like import exception, service
from karbor_like.context import RequestContext
from karbor_like.db import migration
from karbor_like.db import session as db_session
from karbor_like.db.session import Database
from karbor_like.protection.workflow.persistence import DatabasePersistence
from karbor_like.rpc import operationengine, protection
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
