import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_utils import uuidutils

from karbor_like import exception
from karbor_like.domain.resource import Resource
from karbor_like.protection.registry import parameters

VOLUME = Resource("OS::Cinder::Volume", "77aa0000-0000-4000-8000-000000000001")


def is_name(text: str) -> bool:
    return {"bad": False, "good name": True}[text]


IDS = {"OS::Nova::Server": uuidutils.is_uuid_like, "Third::Party": is_name}

names = st.text(min_size=1, max_size=3)
options = st.dictionaries(names, st.booleans() | st.integers() | st.text(min_size=1, max_size=3), max_size=4)

SCHEMAS = {
    VOLUME.type: {
        "type": "object",
        "properties": {"restore_name": {"type": "string", "maxLength": 5}, "force": {"type": "boolean"}},
        "required": ["restore_name"],
    },
    "OS::Keystone::Project": {},
}


def check(values: Any, *, strict: bool = True) -> dict[str, dict[str, Any]]:
    return parameters.check(values, SCHEMAS, IDS, root="restore.parameters", strict=strict)


@given(options, options, options)
def test_a_resource_s_own_options_override_those_of_its_type(of_type, of_resource, of_another):
    values = {VOLUME.type: of_type, VOLUME.key: of_resource, f"{VOLUME.type}#other": of_another}
    assert parameters.effective(values, VOLUME) == {**of_type, **of_resource}


def test_no_options_at_all():
    assert parameters.effective({}, VOLUME) == {}


@pytest.mark.parametrize(
    ("accepted", "normalized"),
    [
        ({}, {}),
        ({VOLUME.type: {}}, {VOLUME.type: {}}),
        ({VOLUME.type: {"restore_name": None, "force": ""}}, {VOLUME.type: {}}),
        ({VOLUME.key: {"restore_name": "abc", "force": False}}, {VOLUME.key: {"restore_name": "abc", "force": False}}),
        ({VOLUME.type: {"force": "True"}}, {VOLUME.type: {"force": True}}),
        ({"OS::Keystone::Project": {}}, {"OS::Keystone::Project": {}}),
        ({"OS::Nova::Server": {"restore_name": None}}, {"OS::Nova::Server": {}}),
        ({"Third::Party": {}}, {"Third::Party": {}}),
        ({"Third::Party#good name": {}}, {"Third::Party#good name": {}}),
    ],
)
def test_what_clients_send_is_normalized(accepted, normalized):
    assert check(accepted) == normalized


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"OS::Nova::Server": {"x": 1}}, "OS::Nova::Server: the provider takes no options for OS::Nova::Server"),
        (
            {VOLUME.type: {"name": "x"}},
            f"{VOLUME.type}.name: is not an option of {VOLUME.type}; allowed: restore_name, force",
        ),
        ({"OS::Keystone::Project": {"name": "x"}}, "name: is not an option of OS::Keystone::Project; allowed: none"),
        ({VOLUME.key: {"force": "perhaps"}}, f"{VOLUME.key}.force: 'perhaps' is not of type 'boolean'"),
        ({VOLUME.type: {"restore_name": "too long"}}, "restore_name: 'too long' is too long"),
        ({f"{VOLUME.type}#v1": {}}, "'v1' after # is not an id of OS::Cinder::Volume"),
        ({"Third::Party#bad": {}}, "'bad' after # is not an id of Third::Party"),
        ({"Third::Party#broken plugin": {}}, "Third::Party#broken plugin: cannot be interpreted"),
        ({"OS::No::Such": {}}, "'OS::No::Such' is not one of OS::Nova::Server, Third::Party"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(refused, message):
    with pytest.raises(exception.InvalidInput, match=re.escape(message)) as caught:
        check(refused)
    assert caught.value.message.startswith("restore.parameters.")


def test_options_without_a_schema_are_kept_unchecked_unless_strict():
    values = {"OS::Nova::Server": {"x": 1, "y": None}}
    assert check(values, strict=False) == {"OS::Nova::Server": {"x": 1}}


def test_options_for_everything():
    """Every type that has the option gets it, unless the type or the resource has a value of its own."""
    schemas = {name: {"properties": {"name_prefix": {}}} for name in ("A", "B")} | {"C": {}}
    given = {"*": {"name_prefix": "test-"}, "B": {"name_prefix": "b-"}, "A#1": {"name_prefix": "one-"}}
    spread = parameters.spread(given, schemas, root="restore.parameters")
    assert spread == {
        "A": {"name_prefix": "test-"},
        "B": {"name_prefix": "b-"},
        "A#1": {"name_prefix": "one-"},
    }
    assert parameters.effective(spread, Resource("A", "1")) == {"name_prefix": "one-"}
    with pytest.raises(exception.UnknownParameter, match=r"restore.parameters.\*.x: no type of the provider has"):
        parameters.spread({"*": {"x": 1}}, schemas, root="restore.parameters")
