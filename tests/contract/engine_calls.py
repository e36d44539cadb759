"""The contract of the operation engine: what ``karbor_like/rpc/operationengine.py`` promises to its callers.

A subclass of :class:`EngineContract` has a fixture ``service``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.context import RequestContext
from karbor_like.db.models import ScheduledOperation
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.rpc.operationengine import OperationEngineClient
from tests.fixtures.endpoint import WithoutBus
from tests.functional.operationengine.site import HOURLY, insert_schedules


class DirectClient(WithoutBus, OperationEngineClient):
    """The client of the operation engine without a message bus."""


@dataclass
class Service:
    """An operation engine.

    :param contexts: contexts of two users
    :param refused: a context of the first user, for which Keystone refuses to create a trust
    :param trusts: returns the users and projects that have a trust, once for each trust
    """

    client: OperationEngineClient
    database: Database
    contexts: tuple[RequestContext, RequestContext]
    refused: RequestContext
    trusts: Callable[[], list[tuple[str, str]]]

    def schedule(self, context: RequestContext) -> str:
        """Insert a scheduled operation of a user, and return its id."""
        after = datetime(2031, 3, 1, tzinfo=UTC)
        (operation_id,) = insert_schedules(self.database, context, HOURLY, after)
        return operation_id

    def unschedule(self, operation_id: str) -> None:
        self.database.write(lambda session: SCHEDULED_OPERATIONS.delete(session, operation_id))

    def release(self, context: RequestContext, caller: RequestContext | None = None) -> None:
        """Release the trust of the user of *context*."""
        owner = {"user_id": str(context.user_id), "project_id": str(context.project_id)}
        self.client.release_trust(caller or context, **owner)

    def clear(self) -> None:
        """Delete all scheduled operations and trusts."""
        self.database.write(lambda session: session.execute(sa.delete(ScheduledOperation)))
        for context in self.contexts:
            self.release(context)
        assert self.trusts() == []


def owner_of(context: RequestContext) -> tuple[str, str]:
    return str(context.user_id), str(context.project_id)


class EngineContract:
    @pytest.fixture
    def alice(self, service: Service) -> Iterator[RequestContext]:
        yield service.contexts[0]
        service.clear()

    @pytest.fixture
    def bob(self, service: Service) -> RequestContext:
        return service.contexts[1]

    def test_ensure_trust_is_idempotent(self, service: Service, alice: RequestContext) -> None:
        for _ in range(2):
            service.client.ensure_trust(alice)
            assert service.trusts() == [owner_of(alice)]

    def test_a_refusal_leaves_no_trust(self, service: Service, alice: RequestContext) -> None:
        with pytest.raises(exception.TrustRefused) as refusal:
            service.client.ensure_trust(service.refused)
        assert refusal.type is exception.TrustRefused
        assert service.trusts() == []
        # A trust that works is not created again.
        service.client.ensure_trust(alice)
        service.client.ensure_trust(service.refused)
        assert service.trusts() == [owner_of(alice)]

    def test_the_trust_is_deleted_with_the_last_operation(self, service: Service, alice: RequestContext) -> None:
        operation_ids = [service.schedule(alice) for _ in range(2)]
        service.client.ensure_trust(alice)
        service.release(alice)
        assert service.trusts() == [owner_of(alice)]
        for operation_id, trusts in zip(operation_ids, ([owner_of(alice)], []), strict=True):
            service.unschedule(operation_id)
            service.release(alice)
            assert service.trusts() == trusts

    def test_each_user_has_a_trust(self, service: Service, alice: RequestContext, bob: RequestContext) -> None:
        for context in (alice, bob):
            service.client.ensure_trust(context)
        assert sorted(service.trusts()) == sorted([owner_of(alice), owner_of(bob)])
        # An operation of another user does not keep the trust.
        service.schedule(bob)
        service.release(alice, caller=bob)
        assert service.trusts() == [owner_of(bob)]

    def test_releasing_a_trust_is_idempotent(self, service: Service, alice: RequestContext) -> None:
        service.release(alice)
        service.client.ensure_trust(alice)
        for _ in range(2):
            service.release(alice)
            assert service.trusts() == []
        service.client.ensure_trust(alice)
        assert service.trusts() == [owner_of(alice)]

    def test_ping_names_the_host(self, service: Service, alice: RequestContext) -> None:
        assert set(service.client.ping(alice, timeout=1)) == {"host"}
