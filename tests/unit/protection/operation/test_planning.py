"""Resources of one restore that would take the same object."""

from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.resource import Resource
from karbor_like.protection.operation.planning import contested


def test_two_resources_that_take_one_object() -> None:
    first, second, third = (Resource("OS::Cinder::Volume", name) for name in "abc")
    taken = "OS::Cinder::Volume#target"
    lines = [
        (first, PlannedAction(Action.MAP, first.key, "", taken)),
        (second, PlannedAction(Action.MAP, second.key, "", taken)),
        (third, PlannedAction(Action.CREATE, third.key)),
    ]
    ((resource, conflict),) = contested(lines)
    assert resource == second
    assert conflict == PlannedAction(Action.CONFLICT, second.key, f"{first.key} takes {taken} as well")
    assert contested(lines[:1]) == []
