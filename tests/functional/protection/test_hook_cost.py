"""What each hook of a resource asks the database for does not grow with the resources of the operation."""

import dataclasses

import pytest

from karbor_like import exception
from karbor_like.db import operations
from karbor_like.db.models import JournalEntry, OperationResource
from karbor_like.domain import states
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation import spec
from karbor_like.protection.operation.claim import ActiveClaim
from karbor_like.protection.operation.journal import DatabaseJournal
from karbor_like.protection.operation.session import OperationSession
from tests.fixtures.sqlite_steps import steps
from tests.functional.protection.plugins import NODE
from tests.functional.protection.site import Site

_RESOURCE = Resource(NODE, "a")


def queue(site: Site) -> str:
    """Queue an operation. Returns its id."""
    return site.operation(checkpoint_id=site.protect("a")["id"]).id


def run(site: Site, operation_id: str, kind: OperationType) -> OperationSession:
    """Claim an operation from the process that has it, if any, and run it as one of *kind*."""
    with site.env.database.reader() as session:
        row = operations.OPERATIONS.get(session, operation_id)
    claim = site.env.database.write(lambda session: operations.claim(session, row, "here", 60))
    assert claim is not None
    loaded, encrypted, _ = spec.load(site.env.database, claim)
    active = ActiveClaim(claim, site.env.clock, site.env.clock.monotonic(), 60)
    return OperationSession(site.env, dataclasses.replace(loaded, kind=kind), active, encrypted)


def cost(site: Site, number: int, kind: OperationType) -> int:
    """Steps of SQLite for what a hook does in an operation of *number* resources."""
    operation_id = queue(site)
    done = {"operation_id": operation_id, "status": "x"}
    made = {"operation_id": operation_id, "role": "thing", "name": "n"}
    with site.env.database.writer() as session:
        for each in range(number):
            key = f"{NODE}#{each:05}"
            session.add(OperationResource(**done, resource_key=key, result_key=f"{NODE}#new-{each}"))
            session.add(JournalEntry(**made, resource_key=key, seq=each + 1))
    with run(site, operation_id, kind) as operation:
        operation.is_left_out(_RESOURCE)
        assert len(operation.restored()) == (number if kind is OperationType.RESTORE else 0)
        with steps(site.env.database.engine) as taken:
            operation.is_left_out(_RESOURCE)
            operation.restored()
            journal = DatabaseJournal(operation.database, _RESOURCE.key, "n")
            assert journal.entries() == []
            assert journal.intend("thing") == journal.peek("thing")
            operation.record(_RESOURCE.key, status="x", result_key=f"{NODE}#new")
            operation.is_left_out(_RESOURCE)
            operation.restored()
    with site.env.database.reader() as session:
        assert operations.journal(session, operation_id, _RESOURCE.key)[0].seq == number + 1
    return taken.number


@pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
def test_the_cost_of_a_hook_does_not_grow_with_the_resources(idle: Site, kind: OperationType) -> None:
    assert cost(idle, 300, kind) < 1.5 * cost(idle, 50, kind)


def test_who_takes_over_knows_what_was_recorded_until_then(idle: Site) -> None:
    operation_id = queue(idle)
    key, later = _RESOURCE.key, f"{NODE}#b"
    with run(idle, operation_id, OperationType.RESTORE) as first:
        assert first.restored() == {}
        first.record(key, result_key=f"{NODE}#new")
        assert first.restored() == {key: "new"}
        with run(idle, operation_id, OperationType.RESTORE) as second:
            assert second.restored() == {key: "new"}
            # The first one does not know yet that it has lost the operation.
            with pytest.raises(exception.LeaseLost):
                first.record(later, result_key=f"{NODE}#late")
            assert second.restored() == first.restored() == {key: "new"}
            first.claim.abandon("lost")
            with pytest.raises(exception.LeaseLost):
                first.restored()


def test_who_takes_over_knows_what_was_left_out(idle: Site) -> None:
    operation_id = queue(idle)
    with run(idle, operation_id, OperationType.PROTECT) as first:
        assert not first.is_left_out(_RESOURCE)
        first.record(_RESOURCE.key, status=states.LEFT_OUT, reason="it no longer exists")
        assert first.is_left_out(_RESOURCE)
        with run(idle, operation_id, OperationType.PROTECT) as second:
            assert second.is_left_out(_RESOURCE)
            # Its hooks begin again.
            second.record(_RESOURCE.key, status="protecting", reason=None)
            assert not second.is_left_out(_RESOURCE)
