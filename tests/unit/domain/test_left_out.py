import pytest

from karbor_like.domain import left_out
from karbor_like.domain.resource import Resource

PLAN = {"id": "p", "resources": []}
SICK = Resource("Volume", "v", "data", {"zone": "z"}, "it is in state 'error'")
ENTRY = {"type": "Volume", "id": "v", "name": "data", "reason": "it is in state 'error'"}


def test_nothing_was_left_out():
    assert left_out.recorded(PLAN, []) == PLAN
    assert left_out.entries(PLAN) == []
    assert left_out.describe(PLAN) is None


def test_what_was_left_out_is_recorded_once_and_described():
    plan = left_out.recorded(left_out.recorded(PLAN, [SICK]), [SICK, Resource("Image", "i", obstacle="it vanished")])
    assert left_out.entries(plan) == [ENTRY, {"type": "Image", "id": "i", "name": "", "reason": "it vanished"}]
    assert left_out.describe(plan) == "left out: Volume#v (data): it is in state 'error'; Image#i: it vanished"
    assert [(found, found.obstacle) for found in left_out.resources(plan)][0] == (SICK, SICK.obstacle)


@pytest.mark.parametrize("found", [None, "text", {"type": "Volume"}, [1], [{"type": "Volume"}], [{**ENTRY, "name": 1}]])
def test_what_has_another_form_is_ignored(found):
    assert left_out.entries({"left_out": found}) == []
    assert left_out.recorded({"left_out": found}, [SICK]) == {"left_out": [ENTRY]}


def test_texts_are_bounded():
    many = [Resource("Volume", f"v{number}", obstacle="x" * 10_000) for number in range(1000)]
    plan = left_out.recorded(PLAN, many)
    assert len(left_out.entries(plan)) == 1000
    assert {len(entry["reason"]) for entry in left_out.entries(plan)} == {1000}
    text = left_out.describe(plan)
    assert len(text) < 16_000
    assert text.endswith("; and 989 more")
