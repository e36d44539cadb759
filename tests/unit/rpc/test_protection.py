"""The client against a server on the in-process bus: what goes in comes out, errors come as themselves."""

import contextlib
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg

from karbor_like import exception, secret, service
from karbor_like.clock import ManualClock
from karbor_like.context import RequestContext
from karbor_like.db.session import DatabaseBusy
from karbor_like.rpc import client as rpc_client
from karbor_like.rpc import protection, transport
from karbor_like.rpc.server import rpc_method


class PrivateError(exception.ProviderNotFound):
    """A class that the client does not know."""


class Endpoint:
    """Returns its arguments."""

    target = oslo_messaging.Target(version=protection.VERSION)

    def __init__(self) -> None:
        self.contexts: list[RequestContext] = []
        self.cancelled: list[str] = []
        self.woken = threading.Event()

    def protect(self, ctxt: RequestContext, **arguments: Any) -> None:
        self.contexts.append(ctxt)
        self.protected = arguments

    def copy(self, ctxt: RequestContext, **arguments: Any) -> dict[str, Any]:
        return arguments

    def restore(self, ctxt: RequestContext, **arguments: Any) -> None:
        self.restored = arguments

    @rpc_method
    def show_provider(self, ctxt: RequestContext, provider_id: str) -> None:
        raise PrivateError(f"provider {provider_id} could not be found")

    @rpc_method
    def list_protectables(self, ctxt: RequestContext) -> None:
        raise DatabaseBusy("password of the database")

    def list_providers(self, ctxt: RequestContext) -> None:
        raise KeyError("a bug")

    @rpc_method
    def cancel(self, ctxt: RequestContext, operation_id: str) -> None:
        self.cancelled.append(operation_id)

    def wake(self, ctxt: RequestContext) -> None:
        self.woken.set()


@pytest.fixture
def conf(tmp_path) -> cfg.ConfigOpts:
    path = tmp_path / "karbor_like.conf"
    path.write_text(
        f"[DEFAULT]\ntransport_url = fake://\nrpc_response_timeout = 1\n[secret]\nkeys = {secret.new_key()}\n"
    )
    return service.configure([], files=[str(path)])


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def client(conf, endpoint) -> Iterator[protection.ProtectionClient]:
    bus = transport.get(conf)
    target = oslo_messaging.Target(topic=protection.TOPIC, server="here", version=protection.VERSION)
    server = transport.server(conf, bus, target, endpoint)
    server.start()
    client = protection.ProtectionClient(conf, bus)
    yield client
    server.stop()
    server.wait()
    client.close()


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(
        user_id="alice",
        project_id="p1",
        roles=["member"],
        auth_token="the token",
        trust_id="the trust",
        service_catalog=[{"type": "volume"}],
        request_id="req-1",
    )


def test_arguments_and_identity_arrive_whole(client, endpoint, context):
    call = {"checkpoint_id": "c", "plan_id": "plan", "provider_id": "provider", "extra_info": {"a": 1}}
    client.protect(context, **call)

    assert endpoint.protected == call
    (seen,) = endpoint.contexts
    assert (seen.user_id, seen.project_id, seen.roles, seen.request_id) == ("alice", "p1", ["member"], "req-1")
    assert (seen.auth_token, seen.trust_id) == ("the token", "the trust")
    assert seen.service_catalog == [{"type": "volume"}]


def test_a_copy_says_what_is_left_to_the_service(client, endpoint, context):
    answer = client.copy(context, copy_id="c", plan_id="plan", provider_id="provider")
    assert answer == {
        "copy_id": "c",
        "plan_id": "plan",
        "provider_id": "provider",
        "target_provider_id": None,
        "checkpoint_ids": None,
        "parameters": {},
    }
    chosen = client.copy(context, copy_id="c", plan_id="plan", provider_id="provider", checkpoint_ids=())
    assert chosen["checkpoint_ids"] == [], "none is not all"


def test_secrets_are_never_on_the_bus_in_clear(conf, context):
    sent = str(transport.Serializer(secret.Cipher.from_conf(conf)).serialize_context(context))
    assert "the token" not in sent
    assert "the trust" not in sent


def test_a_target_s_credential_travels_encrypted(client, endpoint, context, conf):
    call = {
        "restore_id": "r1",
        "provider_id": "provider",
        "checkpoint_id": "c",
        "parameters": {},
        "restore_target": "http://k",
    }
    client.restore(context, **call, restore_auth={"password": "open sesame"})

    encrypted = endpoint.restored.pop("restore_auth")
    defaults = {"resources": None, "with_children": True, "dry_run": False, "with_plan": False}
    assert endpoint.restored == {**call, **defaults}
    assert "sesame" not in encrypted
    assert secret.Cipher.from_conf(conf).decrypt(encrypted) == {"password": "open sesame"}


def test_an_error_comes_as_its_own_class_and_message(client, context):
    with pytest.raises(exception.ProviderNotFound) as caught:
        client.show_provider(context, provider_id="x")
    assert type(caught.value) is exception.ProviderNotFound
    assert str(caught.value) == "provider x could not be found"


def test_an_unavailable_database_comes_as_such_without_its_text(client, context):
    with pytest.raises(exception.DatabaseUnavailable) as caught:
        client.list_protectables(context)
    assert "password" not in str(caught.value)


def test_where_nobody_answers_the_error_says_so(conf, context):
    client = protection.ProtectionClient(conf)
    with pytest.raises(exception.Unavailable, match="no protection service answered to ping in 0.1 seconds"):
        client.ping(context, timeout=0.1)


def test_what_is_not_json_is_refused_by_the_sender(client, context):
    with pytest.raises(TypeError):
        client.protect(context, checkpoint_id="c", plan_id="plan", provider_id="provider", extra_info={"a": object()})


def test_services_are_woken(client, endpoint, context):
    client.wake(context)
    assert endpoint.woken.wait(10)


def test_a_service_of_another_version_is_not_available(client, endpoint, context):
    endpoint.target = oslo_messaging.Target(version="1.0")
    told = f"does not support version {protection.VERSION} of its RPC; upgrade all services, or set [upgrade_levels]"
    with pytest.raises(exception.Unavailable, match=re.escape(told)):
        client.list_protectables(context)


_MAJOR, _MINOR = map(int, protection.VERSION.split("."))


def _of_version(conf: cfg.ConfigOpts, client: protection.ProtectionClient, version: str) -> protection.ProtectionClient:
    kind = type("Other", (protection.ProtectionClient,), {"version": version})
    return kind(conf, client._transport)


@pytest.mark.parametrize("minor", range(_MINOR))
def test_callers_of_earlier_minor_versions_are_answered(conf, client, endpoint, context, minor):
    _of_version(conf, client, f"{_MAJOR}.{minor}").cancel(context, operation_id=str(minor))
    assert endpoint.cancelled == [str(minor)]


@pytest.mark.parametrize("version", [f"{_MAJOR}.{_MINOR + 1}", f"{_MAJOR + 1}.0", f"{_MAJOR - 1}.{_MINOR}"])
def test_callers_of_later_or_other_versions_are_refused(conf, client, endpoint, context, version):
    with pytest.raises(exception.Unavailable, match=f"does not support version {re.escape(version)} of its RPC"):
        _of_version(conf, client, version).cancel(context, operation_id="o")
    assert endpoint.cancelled == []


@pytest.fixture
def pinned(conf, client, endpoint) -> protection.ProtectionClient:
    """A client that is limited to version 3.1, which a service of an earlier release has."""
    endpoint.target = oslo_messaging.Target(version="3.1")
    conf.set_override("protection", "3.1", "upgrade_levels")
    return protection.ProtectionClient(conf, client._transport)


RESTORE = {"restore_id": "r", "provider_id": "p", "checkpoint_id": "c", "parameters": {}}


def test_a_pinned_caller_calls_a_service_of_an_earlier_release(pinned, endpoint, context):
    pinned.restore(context, **RESTORE, resources=["a"], with_plan=False)
    assert endpoint.restored["resources"] == ["a"]
    assert "with_plan" not in endpoint.restored
    pinned.wake(context)
    assert endpoint.woken.wait(10)


def test_a_pinned_caller_refuses_what_services_of_an_earlier_release_do_not_do(pinned, endpoint, context):
    told = r"with_plan: is not possible .* \(\[upgrade_levels\] protection = 3.1\)"
    with pytest.raises(exception.Unsupported, match=told):
        pinned.restore(context, **RESTORE, with_plan=True)
    assert not hasattr(endpoint, "restored")


@pytest.mark.parametrize("pin", [f"{_MAJOR}.{_MINOR + 1}", f"{_MAJOR + 1}.0", f"{_MAJOR - 1}.0"])
def test_a_pin_to_a_version_that_this_release_cannot_call_is_refused(conf, client, pin):
    conf.set_override("protection", pin, "upgrade_levels")
    with pytest.raises(
        exception.ConfigurationError, match=rf"\[upgrade_levels\] protection = {pin}: .* remove the option"
    ):
        protection.ProtectionClient(conf, client._transport)


def test_a_pin_that_is_no_version_is_refused(conf):
    with pytest.raises(ValueError, match="doesn't match regex"):
        conf.set_override("protection", "newest", "upgrade_levels")


def test_rabbitmq_queues_are_replicated_by_default(conf):
    conf.register_opts(transport.impl_rabbit.rabbit_opts, group="oslo_messaging_rabbit")
    assert conf.oslo_messaging_rabbit.rabbit_quorum_queue
    assert conf.oslo_messaging_rabbit.rabbit_transient_quorum_queue


def test_a_call_whose_caller_has_given_up_is_not_carried_out(conf, client, endpoint, context):
    an_hour_ago = ManualClock(datetime.now(UTC) - timedelta(hours=1))
    late = protection.ProtectionClient(conf, client._transport, an_hour_ago)
    with pytest.raises(exception.Timeout, match=r"arrived 3\d+\.\d seconds after its caller gave up"):
        late.cancel(context, operation_id="late")
    client.cancel(context, operation_id="in time")
    assert endpoint.cancelled == ["in time"]
    assert context.deadline is None, "it belongs to the message"


def test_a_message_is_not_sent_after_its_caller_has_given_up():
    clock = ManualClock()
    sending = rpc_client._Sending(5, clock)
    assert sending.at_least_once is False
    assert sending.begun.is_set()
    clock.advance(5.1)
    with pytest.raises(oslo_messaging.MessagingTimeout):
        _ = sending.at_least_once


def test_a_call_takes_a_place_and_the_time_that_it_is_given(conf, context):
    asked: list[RequestContext] = []

    @contextlib.contextmanager
    def guard(ctxt: RequestContext) -> Iterator[float]:
        asked.append(ctxt)
        yield 0.01

    client = protection.ProtectionClient(conf, guard=guard)
    with pytest.raises(exception.BusUnavailable, match=r"in 0\.01 seconds"):
        client.list_protectables(context)
    assert asked == [context]
    # Health checks take no place.
    with pytest.raises(exception.BusUnavailable, match=r"in 0\.02 seconds"):
        client.ping(context, timeout=0.02)
    assert asked == [context]
    client.close()
