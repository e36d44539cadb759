"""The clients of the services in the table."""

import importlib
import subprocess
import sys
import threading

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import ClientFactory
from karbor_like.conf.clients import SERVICES
from karbor_like.context import RequestContext
from karbor_like.sandbox.cloud import Sandbox


def test_each_thread_has_its_own_clients(conf: cfg.ConfigOpts, context: RequestContext) -> None:
    clients = ClientFactory(conf).for_context(context)
    created = []
    threads = [threading.Thread(target=lambda: created.append(clients.cinder())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in [*created, clients.cinder()]}) == 3
    assert clients.cinder() is clients.cinder()


def test_clients_share_their_connections(conf: cfg.ConfigOpts, context: RequestContext) -> None:
    clients = ClientFactory(conf).for_context(context)
    assert clients.glance().http_client.session is clients.adapter("glance").session


def test_clients_of_other_versions(conf: cfg.ConfigOpts, context: RequestContext) -> None:
    clients = ClientFactory(conf).for_context(context)
    assert clients.nova("2.19") is clients.nova("2.19") is not clients.nova()
    assert [each.api_version.get_string() for each in (clients.nova(), clients.nova("2.19"))] == ["2.1", "2.19"]


def test_endpoint_can_be_overridden(conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox) -> None:
    context.service_catalog = []
    with pytest.raises(exception.Unsupported), translated("volumes"):
        ClientFactory(conf).for_context(context).cinder().volumes.list()
    conf.set_override("endpoint_override", f"{cloud.url}/volume/v3/{context.project_id}", "cinder_client")
    ClientFactory(conf).for_context(context).cinder().volumes.list()


def test_silent_service_causes_a_timeout(conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox) -> None:
    conf.set_override("timeout", 0.2, "cinder_client")
    clients = ClientFactory(conf).for_context(context)
    cloud.fault(service="volume", kind="stall", where="request")
    with pytest.raises(exception.Unavailable, match="timed out"), translated("volumes"):
        clients.cinder().volumes.list()


@pytest.mark.parametrize("name", SERVICES)
def test_service_needs_one_row_of_the_table(conf: cfg.ConfigOpts, context: RequestContext, name: str) -> None:
    service = SERVICES[name]
    assert conf[f"{name}_client"].service_type == service.catalogue_type
    assert conf[f"{name}_client"].timeout == service.timeout > 0
    clients = ClientFactory(conf).for_context(context)
    assert clients.adapter(name).session.timeout == service.timeout
    assert clients.client(name) is clients.client(name)
    for module, exception_name in service.exceptions:
        base = getattr(importlib.import_module(module), exception_name)
        # Every library has arguments of its own for its exceptions.
        raised = type("Raised", (base,), {"__init__": lambda self: None, "__str__": lambda self: "failed"})
        with pytest.raises(exception.Unavailable, match="failed"), translated(name):
            raise raised()


def test_client_libraries_are_imported_at_first_use() -> None:
    sdks = "{'cinderclient', 'glanceclient', 'novaclient', 'heatclient', 'keystoneclient'}"
    code = f"import sys, karbor_like.clients.factory; print(sorted({sdks} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
