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
from tests.functional.operationengine.site import HOURLY, insert_schedules, remove


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

    def unschedule(self, operation_id: str, caller: RequestContext) -> None:
        """Delete a scheduled operation, and report its trust if that was released."""
        released = self.database.write(lambda session: remove(session, operation_id))
        if released is not None:
            self.client.delete_trust(caller, trust_id=released)

    def clear(self) -> None:
        """Delete all scheduled operations and trusts."""
        with self.database.reader() as session:
            operation_ids = session.execute(sa.select(ScheduledOperation.id)).scalars().all()
        for operation_id in operation_ids:
            self.unschedule(operation_id, self.contexts[0])
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

    def test_each_scheduled_operation_has_a_trust(
        self, service: Service, alice: RequestContext, bob: RequestContext
    ) -> None:
        operations = [(service.schedule(context), context) for context in (alice, alice, bob)]
        for operation_id, context in operations:
            service.client.make_trust(context, scheduled_operation_id=operation_id)
        owners = [owner_of(context) for _, context in operations]
        assert sorted(service.trusts()) == sorted(owners)
        for operation_id, context in operations:
            # Who deletes the operation does not matter.
            service.unschedule(operation_id, bob)
            owners.remove(owner_of(context))
            assert sorted(service.trusts()) == sorted(owners)

    def test_a_new_trust_replaces_the_former_one(self, service: Service, alice: RequestContext) -> None:
        operation_id = service.schedule(alice)
        for _ in range(2):
            service.client.make_trust(alice, scheduled_operation_id=operation_id)
            assert service.trusts() == [owner_of(alice)]

    def test_a_refused_token_gets_no_trust_and_uses_no_other(self, service: Service, alice: RequestContext) -> None:
        service.client.make_trust(alice, scheduled_operation_id=service.schedule(alice))
        operation_id = service.schedule(alice)
        with pytest.raises(exception.TrustRefused) as refusal:
            service.client.make_trust(service.refused, scheduled_operation_id=operation_id)
        assert refusal.type is exception.TrustRefused
        assert service.trusts() == [owner_of(alice)]
        with service.database.reader() as session:
            assert SCHEDULED_OPERATIONS.get(session, operation_id).trust_id is None

    def test_an_operation_of_another_user_or_none_gets_no_trust(
        self, service: Service, alice: RequestContext, bob: RequestContext
    ) -> None:
        operation_id = service.schedule(alice)
        with pytest.raises(exception.NotAuthorized):
            service.client.make_trust(bob, scheduled_operation_id=operation_id)
        service.unschedule(operation_id, alice)
        with pytest.raises(exception.ScheduledOperationNotFound):
            service.client.make_trust(alice, scheduled_operation_id=operation_id)
        assert service.trusts() == []

    def test_a_trust_that_is_not_released_is_not_deleted(self, service: Service, alice: RequestContext) -> None:
        operation_id = service.schedule(alice)
        service.client.make_trust(alice, scheduled_operation_id=operation_id)
        with service.database.reader() as session:
            trust_id = SCHEDULED_OPERATIONS.get(session, operation_id).trust_id
        service.client.delete_trust(alice, trust_id=str(trust_id))
        assert service.trusts() == [owner_of(alice)]
        service.unschedule(operation_id, alice)
        service.client.delete_trust(alice, trust_id=str(trust_id))
        assert service.trusts() == []

    def test_ping_names_the_host(self, service: Service, alice: RequestContext) -> None:
        assert set(service.client.ping(alice, timeout=1)) == {"host"}
