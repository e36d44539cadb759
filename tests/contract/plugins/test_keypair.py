"""The plugin for key pairs: what it stores and restores. They have no bytes, so the suites of bytes do not apply."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.actions import Action
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import KEY_PAIR, Resource
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import sandbox
from karbor_like.testing.host import Host, memory_bank
from tests.contract.plugins.test_server import OTHER_KEY, PUBLIC_KEY

LAPTOP = Resource(KEY_PAIR, "laptop of Alice", "laptop of Alice")


@pytest.fixture
def clients(cloud: Sandbox, factory: ClientFactory) -> Clients:
    return factory.for_context(sandbox.context_of(cloud))


@pytest.fixture
def host(clients: Clients) -> Iterator[Host]:
    bank = memory_bank()
    yield Host(sandbox.make_plugin("karbor_like.plugins.nova.keypair:KeyPairProtection"), clients, bank)
    bank.close()


@pytest.fixture
def pairs(clients: Clients) -> Any:
    """The key pairs of Alice, one of which is protected."""
    pairs = clients.nova("2.92").keypairs
    pairs.create(LAPTOP.id, PUBLIC_KEY)
    return pairs


def plan(host: Host, checkpoint: str) -> list[Action]:
    return [line.action for line in host.plan(host.operation(OperationType.RESTORE, LAPTOP, checkpoint))]


def test_restore(host: Host, pairs: Any) -> None:
    checkpoint = host.protect(LAPTOP).checkpoint_id
    assert "private" not in str(host.section(checkpoint, LAPTOP).get("metadata"))
    assert plan(host, checkpoint) == [Action.REUSE]
    assert host.restore(LAPTOP, checkpoint) == LAPTOP.id
    assert [pair.name for pair in pairs.list()] == [LAPTOP.id]

    pairs.delete(LAPTOP.id)
    assert plan(host, checkpoint) == [Action.CREATE]
    operation = host.operation(OperationType.RESTORE, LAPTOP, checkpoint)
    assert host.perform(operation) == {"restored": {LAPTOP.key: LAPTOP.id}, "remarks": []}
    assert [pair.public_key for pair in pairs.list()] == [PUBLIC_KEY]
    host.cleanup(operation)
    assert pairs.list() == []

    pairs.create(LAPTOP.id, OTHER_KEY)
    assert plan(host, checkpoint) == [Action.CREATE]
    operation = host.operation(OperationType.RESTORE, LAPTOP, checkpoint)
    name = f"{LAPTOP.id}-{operation.id[:8]}"
    assert host.perform(operation) == {
        "restored": {LAPTOP.key: name},
        "remarks": [f"the restored key pair has the name {name!r}"],
    }
    assert {pair.name: pair.public_key for pair in pairs.list()} == {LAPTOP.id: OTHER_KEY, name: PUBLIC_KEY}
    host.cleanup(operation)
    assert [pair.name for pair in pairs.list()] == [LAPTOP.id]

    host.perform(host.operation(OperationType.VERIFY, LAPTOP, checkpoint))
    host.perform(host.operation(OperationType.DELETE, LAPTOP, checkpoint))
    assert plan(host, checkpoint) == [Action.CONFLICT]


def test_mapping_and_strict(host: Host, pairs: Any) -> None:
    checkpoint = host.protect(LAPTOP).checkpoint_id
    pairs.delete(LAPTOP.id)
    operation = host.operation(OperationType.RESTORE, LAPTOP, checkpoint)
    operation.mapping = {LAPTOP.key: "other"}
    assert [(line.action, line.reason) for line in host.plan(operation)] == [
        (Action.CONFLICT, "you have no key pair 'other'")
    ]
    pairs.create("other", OTHER_KEY)
    assert [line.action for line in host.plan(operation)] == [Action.MAP]
    assert host.perform(operation)["restored"] == {LAPTOP.key: "other"}
    assert [pair.name for pair in pairs.list()] == ["other"]

    pairs.create(LAPTOP.id, OTHER_KEY)
    with pytest.raises(exception.Conflict, match="another key pair has its name"):
        host.restore(LAPTOP, checkpoint, strict=True)


def test_a_failed_restore_keeps_the_key_that_the_user_had(host: Host, pairs: Any) -> None:
    checkpoint = host.protect(LAPTOP).checkpoint_id
    operation = host.operation(OperationType.RESTORE, LAPTOP, checkpoint)
    host.perform(operation)
    host.cleanup(operation)
    assert operation.journal.entries() == []
    assert [pair.name for pair in pairs.list()] == [LAPTOP.id]


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_restore_continues_after_a_crash_at_any_request(
    host: Host, pairs: Any, line: sandbox.Line, answered: bool
) -> None:
    checkpoint = host.protect(LAPTOP).checkpoint_id
    for nth in itertools.count(1):
        pairs.delete(LAPTOP.id)
        operation = host.operation(OperationType.RESTORE, LAPTOP, checkpoint)
        crashed = sandbox.crashes(host, line, operation, nth, answered)
        if crashed:
            assert host.perform(operation)["restored"] == {LAPTOP.key: LAPTOP.id}
        assert [pair.name for pair in pairs.list()] == [LAPTOP.id]
        if not crashed:
            break


def test_key_pairs_of_others(host: Host, pairs: Any, factory: ClientFactory, cloud: Sandbox) -> None:
    for user in ("bob", "admin"):
        other = Host(host.plugin, factory.for_context(sandbox.context_of(cloud, user)), host.bank)
        with pytest.raises(exception.ResourceNotFound):
            other.protect(LAPTOP)


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 256, 7])
def test_documents_of_a_hostile_bank(host: Host, pairs: Any, name: Any) -> None:
    checkpoint = host.protect(LAPTOP).checkpoint_id
    with host.bank.leases.acquire(holder="test") as lease:
        section = host.section(checkpoint, LAPTOP, lease)
        document = section.get("metadata")
        section.put("metadata", {**document, "key_pair": {**document["key_pair"], "name": name}})
    assert plan(host, checkpoint) == [Action.CONFLICT]
    with pytest.raises(exception.CheckpointDamaged, match="the stored description of the key pair is damaged"):
        host.perform(host.operation(OperationType.VERIFY, LAPTOP, checkpoint))
