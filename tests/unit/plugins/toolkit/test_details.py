"""Details that the cloud refuses become remarks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from karbor_like.domain.resource import Resource
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit.details import Details
from karbor_like.testing.host import clients_without_cloud


class Cloud:
    """Accepts details except for some names.

    :param refused: the exception for each name
    """

    def __init__(self, refused: Mapping[str, Exception] | None = None) -> None:
        self.refused = dict(refused or {})
        self.requests: list[dict[str, Any]] = []

    def send(self, values: Mapping[str, Any]) -> None:
        self.requests.append(dict(values))
        for name, value in values.items():
            if name in self.refused and value != "plain":
                raise self.refused[name]


class Volumes(CloudObjects):
    """Volumes of which one exists.

    :param error: the answer to requests for it
    """

    noun = "volume"
    ready = "available"
    deletable = None

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(clients_without_cloud("1"))
        self._error = error

    def get(self, cloud_id: str) -> Any:
        if self._error:
            raise self._error

    def find(self, name: str) -> Sequence[str]:
        return []

    def delete(self, current: Any) -> None: ...

    def failure(self, current: Any) -> str | None: ...


def remarks_of(some: Details) -> list[str]:
    return some.finish(Volumes(), "1")


def details(check: Callable[[], None] = lambda: None) -> Details:
    nothing: Any = None
    context = HookContext(
        operation_id="1",
        checkpoint_id="1",
        project_id="1",
        resource=Resource("OS::Cinder::Volume", "1", ""),
        children=(),
        parameters={},
        clients=clients_without_cloud("1"),
        section=nothing,
        bases=(),
        journal=nothing,
        report=nothing,
        waiter=Waiter(ManualClock(), retries=4),
        restored={},
        check=check,
    )
    return Details(context, "volume 1")


def test_one_request_if_all_are_accepted() -> None:
    cloud, some = Cloud(), details()
    assert some.set_all({"a": 1, "b": 2}, cloud.send)
    assert cloud.requests == [{"a": 1, "b": 2}]
    assert remarks_of(some) == []


def test_no_request_for_nothing() -> None:
    cloud = Cloud()
    assert details().set_all({}, cloud.send)
    assert cloud.requests == []


def test_refused_ones_do_not_keep_the_others_from_being_set() -> None:
    no = exception.NotAuthorized("volume 1: no")
    cloud, some = Cloud({"a": no, "c": no}), details()
    assert not some.set_all({"a": 1, "b": 2, "c": 3}, cloud.send, label="metadata ")
    assert cloud.requests == [{"a": 1, "b": 2, "c": 3}, {"a": 1}, {"b": 2}, {"c": 3}]
    assert remarks_of(some) == ["metadata a, metadata c could not be restored: volume 1: no"]


def test_other_value_instead() -> None:
    cloud, some = Cloud({"name": exception.ResourceFailed("volume 1: too long")}), details()
    assert not some.set_all({"name": "x"}, cloud.send, instead={"name": "plain"})
    assert cloud.requests[-1] == {"name": "plain"}
    assert remarks_of(some) == ["name could not be restored: volume 1: too long; it is 'plain' instead"]


def test_transient_errors_are_retried() -> None:
    answers = iter([exception.Unavailable("busy"), exception.Unavailable("busy"), None])

    def action() -> None:
        if error := next(answers):
            raise error

    some = details()
    assert some.set("flag", action)
    assert remarks_of(some) == []


def test_lasting_outage_is_a_remark() -> None:
    cloud, some = Cloud({"flag": exception.Unavailable("volume 1: down")}), details()
    assert not some.set("flag", lambda: cloud.send({"flag": True}))
    assert len(cloud.requests) == 5
    assert remarks_of(some) == ["flag could not be restored: volume 1: down"]


def test_remark_lists_some_of_many() -> None:
    cloud, some = Cloud({str(n): exception.NotAuthorized("no") for n in range(50)}), details()
    some.set_all(dict.fromkeys(cloud.refused, 0), cloud.send)
    assert remarks_of(some) == ["0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 40 more could not be restored: no"]


@pytest.mark.parametrize("error", [exception.Cancelled("stop"), exception.LeaseLost("stop")])
def test_operation_that_must_stop(error: exception.KarborLikeError) -> None:
    def check() -> None:
        raise error

    with pytest.raises(type(error)):
        details(check).set("flag", lambda: None)


def test_bug_in_a_library_is_a_remark() -> None:
    cloud, some = Cloud({"flag": KeyError("secret")}), details()
    assert not some.set("flag", lambda: cloud.send({"flag": True}))
    assert remarks_of(some) == ["flag could not be restored: volume 1: unexpected KeyError"]


def test_resource_that_no_longer_exists() -> None:
    absent = exception.ResourceNotFound("volume 1: absent")
    cloud, some = Cloud({"flag": absent}), details()
    some.set("flag", lambda: cloud.send({"flag": True}))
    with pytest.raises(exception.ResourceNotFound):
        some.finish(Volumes(absent), "1")


def test_resource_that_cannot_be_shown() -> None:
    refusal = exception.NotAuthorized("volume 1: no")
    cloud, some = Cloud({"flag": refusal}), details()
    some.set("flag", lambda: cloud.send({"flag": True}))
    assert some.finish(Volumes(refusal), "1") == ["flag could not be restored: volume 1: no"]
