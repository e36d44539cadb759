"""The same application with the protection service at the other end of a message bus."""

from collections.abc import Callable, Iterator

import oslo_messaging
import pytest
import webob
from oslo_messaging.rpc import client as oslo_rpc_client

from karbor_like import exception, policy
from karbor_like.api import app
from karbor_like.api.context import ServiceContext
from karbor_like.rpc import operationengine, transport
from karbor_like.rpc import protection as rpc
from tests.fixtures import bodies, silence
from tests.fixtures.api import PROJECT_A, Client, check_tokens, token
from tests.fixtures.fake_catalogue import PROVIDER


@pytest.fixture
def application(conf, database, protection, engine, clock) -> Iterator[Callable]:
    bus = transport.get(conf)
    ends = [(rpc, protection), (operationengine, engine)]
    targets = [oslo_messaging.Target(topic=end.TOPIC, server="here", version=end.VERSION) for end, _ in ends]
    servers = [transport.server(conf, bus, target, end) for target, (_, end) in zip(targets, ends, strict=True)]
    for server in servers:
        server.start()
    client = rpc.ProtectionClient(conf, bus)
    engines = operationengine.OperationEngineClient(conf, bus)
    deps = ServiceContext(conf, database, client, engines, policy.make_enforcer(conf), clock)
    yield app.build(deps, authenticate=check_tokens)
    for server in servers:
        server.stop()
        server.wait()
    client.close()


@pytest.fixture
def alice(application) -> Client:
    return Client(application, token("member"), PROJECT_A)


def test_plan_checkpoint_restore(alice, protection):
    plan = alice.post("/plans", bodies.plan())["plan"]
    path = f"/providers/{PROVIDER}/checkpoints"
    made = alice.post(path, bodies.checkpoint(plan["id"]))["checkpoint"]
    protection.set_status(made["id"], "available")
    assert alice.get(path)["checkpoints"][0]["status"] == "available"
    body = bodies.restore(made["id"], restore_auth={"type": "password", "password": "hunter2"})
    assert alice.post("/restores", body)["restore"]["status"] == "in_progress"
    assert "hunter2" not in str(protection.calls)
    assert alice.post("/verifications", bodies.verification(made["id"]))["verification"]["status"] == "in_progress"
    alice.delete(f"{path}/{made['id']}", status=409)
    protection.set_status(made["id"], "available")
    assert alice.delete(f"{path}/{made['id']}") == {}


def test_errors_cross_the_bus_as_themselves(alice, protection):
    alice.get(f"/providers/{bodies.UNKNOWN_ID}", status=404)
    alice.get("/protectables/OS::No::Such", status=400)
    protection.broken["list_providers"] = exception.Unavailable("the cloud is unreachable")
    assert alice.get("/providers", status=503)["serviceUnavailable"]["message"] == "the cloud is unreachable"
    protection.broken["list_providers"] = KeyError("a bug with a secret in it")
    assert "secret" not in str(alice.get("/providers", status=500))


def test_a_trust_that_keystone_refuses_is_said_and_nothing_is_left(alice, engine):
    plan = alice.post("/plans", bodies.plan())["plan"]
    trigger = alice.post("/triggers", bodies.trigger())["trigger_info"]
    engine.broken["make_trust"] = exception.NotAuthorized("Keystone refuses the trust")
    body = bodies.scheduled_operation(trigger["id"], plan["id"])
    assert alice.post("/scheduled_operations", body, status=403)["forbidden"]["message"] == "Keystone refuses the trust"
    assert alice.get("/scheduled_operations") == {"operations": []}


def test_requests_end_while_the_bus_does_not_answer(conf, database, clock):
    with silence.peer() as silent:
        conf.register_opts(oslo_rpc_client._client_opts)
        conf.set_override("rpc_response_timeout", 1)
        conf.set_override("health_timeout", 0.2, "api")
        oslo_messaging.get_rpc_transport(conf).cleanup()  # registers transport_url
        conf.set_override("transport_url", f"rabbit://guest:guest@127.0.0.1:{silent.port}/")
        bus = transport.get(conf)
        protection, engine = rpc.ProtectionClient(conf, bus), operationengine.OperationEngineClient(conf, bus)
        deps = ServiceContext(conf, database, protection, engine, policy.make_enforcer(conf), clock)
        application = app.build(deps, authenticate=check_tokens)
        alice = Client(application, token("member"), PROJECT_A)

        answer = alice.post("/plans", bodies.plan(), status=503)

        assert answer["serviceUnavailable"]["type"] == "bus.unavailable"
        assert alice.get("/plans") == {"plans": []}
        health = webob.Request.blank("/healthcheck").get_response(application)
        assert health.status_int == 503
        assert silent.reached.is_set()
