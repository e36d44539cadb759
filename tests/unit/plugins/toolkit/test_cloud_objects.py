"""Objects of operations that this process loses between any two steps of their creation."""

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from karbor_like.domain.resource import Resource
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit import cleanup, cloud_objects
from karbor_like.testing.host import MemoryJournal, clients_without_cloud

RESOURCE = Resource("Test::Thing", "1", "one")


class Things(CloudObjects):
    """Objects in memory."""

    noun = "thing"
    ready = "available"
    deletable = frozenset({"available"})

    def __init__(self) -> None:
        super().__init__(clients_without_cloud("p"))
        self.names: dict[str, str] = {}

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        self.names[made := uuid.uuid4().hex] = name
        return made

    def get(self, cloud_id: str) -> Any:
        if cloud_id not in self.names:
            raise exception.ResourceNotFound(cloud_id)
        return SimpleNamespace(id=cloud_id, status="available")

    def find(self, name: str) -> Sequence[str]:
        return [cloud_id for cloud_id, found in self.names.items() if found == name]

    def delete(self, current: Any) -> None:
        del self.names[current.id]

    def failure(self, current: Any) -> str | None:
        return None


class Held(MemoryJournal):
    """A journal of which only the present owner of the operation writes."""

    def __init__(self, shared: MemoryJournal) -> None:
        super().__init__("o", RESOURCE)
        self._entries = shared._entries
        self.lost = False

    def check(self) -> None:
        if self.lost:
            raise exception.LeaseLost("lost")

    def intend(self, role: str, *, keep: bool = False) -> Entry:
        self.check()
        return super().intend(role, keep=keep)

    def made(self, role: str, cloud_id: str) -> Entry:
        self.check()
        return super().made(role, cloud_id)


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def shared() -> MemoryJournal:
    return MemoryJournal("o", RESOURCE)


def process(shared: MemoryJournal) -> tuple[HookContext, Held]:
    """A process that runs the operation."""
    journal = Held(shared)
    fields: dict[str, Any] = {field.name: None for field in dataclasses.fields(HookContext)}
    fields |= {"operation_id": "o", "resource": RESOURCE, "journal": journal, "waiter": Waiter(ManualClock())}
    return HookContext(**(fields | {"check": journal.check})), journal


def end(things: Things, shared: MemoryJournal) -> Callable[[], None]:
    """Another process creates the object, uses it, and deletes it."""

    def run() -> None:
        context, _ = process(shared)
        cloud_objects.ensure(context, things, "role", things.create)
        cleanup.remove(context, things, "role")

    return run


def keep(things: Things, shared: MemoryJournal) -> Callable[[], None]:
    """Another process creates the object as a result."""

    def run() -> None:
        cloud_objects.ensure(process(shared)[0], things, "role", things.create, keep=True)

    return run


@pytest.mark.parametrize(("other", "left"), [(end, 0), (keep, 1)])
@pytest.mark.parametrize("before", [True, False], ids=["before the request", "during the request"])
def test_a_late_riser_leaves_nothing(things: Things, shared: MemoryJournal, other: Any, left: int, before: bool):
    context, journal = process(shared)
    find = things.find
    created: list[str] = []

    def stall() -> None:
        things.find = find  # type: ignore[method-assign]
        other(things, shared)()
        journal.lost = True

    def find_and_stall(name: str) -> Sequence[str]:
        found = find(name)
        if before:
            stall()
        return found

    def create(name: str, markers: Mapping[str, str]) -> str:
        if not before:
            stall()
        created.append(things.create(name, markers))
        return created[-1]

    shared.intend("role", keep=other is keep)  # by an earlier attempt
    things.find = find_and_stall  # type: ignore[method-assign]
    with pytest.raises(exception.LeaseLost):
        cloud_objects.ensure(context, things, "role", create, keep=other is keep)

    assert bool(created) is not before, "the claim is checked directly before the request"
    assert len(things.names) == left
    assert not set(created) & set(things.names)


def test_an_object_that_the_new_owner_found_is_left_to_it(things: Things, shared: MemoryJournal):
    context, journal = process(shared)

    def create(name: str, markers: Mapping[str, str]) -> str:
        made = things.create(name, markers)
        keep(things, shared)()
        journal.lost = True
        return made

    with pytest.raises(exception.LeaseLost):
        cloud_objects.ensure(context, things, "role", create)
    assert list(things.names) == [cast(Entry, shared.peek("role")).cloud_id]


def test_an_object_whose_response_was_lost_with_the_operation_is_deleted(things: Things, shared: MemoryJournal):
    context, journal = process(shared)

    def create(name: str, markers: Mapping[str, str]) -> str:
        end(things, shared)()
        things.create(name, markers)
        journal.lost = True
        raise exception.Unavailable("no response")

    with pytest.raises(exception.LeaseLost):
        cloud_objects.ensure(context, things, "role", create)
    assert things.names == {}


def test_an_object_that_the_next_owner_will_look_for_is_left_to_it(things: Things, shared: MemoryJournal):
    context, journal = process(shared)

    def create(name: str, markers: Mapping[str, str]) -> str:
        journal.lost = True
        return things.create(name, markers)

    with pytest.raises(exception.LeaseLost):
        cloud_objects.ensure(context, things, "role", create)
    found = cloud_objects.ensure(process(shared)[0], things, "role", things.create)
    assert list(things.names) == [found]


class Counting(Things):
    """Things that count how often they are looked for by name."""

    searches = 0

    def find(self, name: str) -> Sequence[str]:
        self.searches += 1
        return super().find(name)


def test_the_first_attempt_does_not_look_for_an_object(shared: MemoryJournal):
    things = Counting()
    created = cloud_objects.ensure(process(shared)[0], things, "role", things.create)
    assert list(things.names) == [created]
    assert cloud_objects.find_existing(process(shared)[0], things, "role") == created
    assert things.searches == 0


def test_an_object_that_another_resource_shares_is_found_by_its_name(shared: MemoryJournal):
    things = Counting()
    things.shared = True  # type: ignore[misc]
    made = things.create(MemoryJournal("o", RESOURCE).intend("role").name, {})
    assert cloud_objects.ensure(process(shared)[0], things, "role", things.create) == made
    assert list(things.names) == [made]


def test_an_object_of_an_earlier_attempt_is_found_by_its_name(shared: MemoryJournal):
    things = Counting()
    earlier = things.create(shared.intend("role").name, {})
    assert cloud_objects.find_existing(process(shared)[0], things, "role") == earlier
    assert cloud_objects.ensure(process(shared)[0], things, "role", things.create) == earlier
    assert list(things.names) == [earlier]


def test_an_object_whose_response_was_lost_is_found_by_its_name(shared: MemoryJournal):
    things, answers = Counting(), iter([exception.Unavailable("no response"), None])

    def create(name: str, markers: Mapping[str, str]) -> str:
        made = things.create(name, markers)
        if error := next(answers):
            raise error
        return made

    created = cloud_objects.ensure(process(shared)[0], things, "role", create)
    assert list(things.names) == [created]
    assert things.searches == 1


def test_an_object_that_replaces_a_deleted_one_is_looked_for(shared: MemoryJournal):
    things = Counting()
    context, _ = process(shared)
    first = cloud_objects.ensure(context, things, "role", things.create)
    del things.names[first]
    second = cloud_objects.ensure(context, things, "role", things.create)
    assert list(things.names) == [second]
    assert things.searches == 1
