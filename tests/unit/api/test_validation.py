import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.api import errors, validation
from karbor_like.api.schemas import primitives, restores

ID = "77aa0000-0000-4000-8000-000000000001"


def problems(schema, value) -> dict[str, str]:
    try:
        validation.check(validation.validator(schema), value)
    except errors.InvalidRequest as error:
        return {field.path: field.rule for field in error.fields}
    return {}


@pytest.mark.parametrize("text", [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_every_form_of_a_uuid_is_the_same(text):
    assert problems(primitives.UUID, text) == {}
    assert validation.canonical_id(text) == ID
    assert validation.path_id("plan_id", text) == ID


@pytest.mark.parametrize("text", ["", "x", ID[:-1], f"{ID}0", f" {ID}", f"{ID}\n", ID.replace("-", "_"), "é" * 32])
def test_what_is_no_uuid(text):
    assert problems(primitives.UUID, text) == {"body": "format"}
    with pytest.raises(exception.InvalidInput, match="plan_id"):
        validation.path_id("plan_id", text)


@given(st.uuids())
def test_uuids_of_all_kinds(value: uuid.UUID):
    assert validation.canonical_id(value.hex) == str(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (primitives.NAME, ["x", " x ", "名" * 255, "a\nb"], ["", " ", "\t\n", "x" * 256, None, 5, []]),
        (primitives.DESCRIPTION, ["", None, "x" * 255, "ünï"], ["a\nb", "a\tb", "\x7f", "x\n", "x" * 256, 5]),
        (primitives.VALUES, [{}, {"a.b:c# d-_": "x"}, {"a": None, "b": True, "c": 5}], [[], {"a": 5.0}, {"a/": 1}]),
        (primitives.VALUES, [{"x" * 255: 1}], [None, {"": 1}, {"x" * 256: 1}, {"a\n": 1}, {"a": {}}, {"a": []}]),
        (primitives.METADATA, [None, {}], ["", 0]),
        (
            primitives.PARAMETERS,
            [{}, {"T#1": {"a": 1}}, {"*": {"a": True}}, {"T": {"network_map": {"old net": "new"}}}],
            [None, {"T": None}, {"T": 1}, {"T": {"a": []}}, {"T": {"a": {"b": {}}}}, {"**": {}}, {"T": {"*": 1}}],
        ),
        (
            primitives.RESOURCES,
            [[{"id": "1", "type": "t", "name": ""}], [{"id": "1", "type": "t", "name": None, "x": 1}]],
            [[], {}, [{}], [None], [{"id": "", "type": "t", "name": ""}], [{"id": 1, "type": "t", "name": ""}]],
        ),
    ],
)
def test_primitives(schema, good, bad):
    for value in good:
        assert problems(schema, value) == {}, value
    for value in bad:
        assert problems(schema, value) != {}, value


def test_paths_name_the_field():
    schema = primitives.wrapped("plan", primitives.closed({"resources": primitives.RESOURCES}))
    assert problems(schema, {"plan": {"resources": [{"id": "1", "type": "t", "name": 5}]}}) == {
        "plan.resources[0].name": "type"
    }
    assert problems(schema, []) == {"body": "type"}
    assert problems(schema, {"plan": {}, "junk": 1}) == {"body": "additionalProperties"}


def test_secrets_are_not_repeated():
    body = {"restore": {"provider_id": ID, "checkpoint_id": ID, "parameters": {}, "restore_auth": {"password": ["s3"]}}}
    with pytest.raises(errors.InvalidRequest) as caught:
        validation.check(validation.validator(restores.CREATE), body)
    assert "restore.restore_auth.password" in str(caught.value)
    assert "s3" not in str(caught.value)


def test_long_values_are_cut_short():
    with pytest.raises(errors.InvalidRequest) as caught:
        validation.check(validation.validator({"enum": ["a"]}), "x" * 10_000)
    assert len(str(caught.value)) < 200


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_value_is_checked_without_falling_over(value):
    for schema in (primitives.NAME, primitives.PARAMETERS, primitives.RESOURCES, primitives.closed({"a": {}})):
        problems(schema, value)
