import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.domain.resource import Resource
from karbor_like.protection.registry import parameters

VOLUME = Resource("OS::Cinder::Volume", "v1")

names = st.text(min_size=1, max_size=3)
options = st.dictionaries(names, st.none() | st.booleans() | st.integers() | st.text(max_size=3), max_size=4)


@given(options, options, options)
def test_a_resource_s_own_options_win_key_by_key_and_nulls_are_not_given(of_type, of_resource, of_another):
    given_ = {VOLUME.type: of_type, VOLUME.key: of_resource, f"{VOLUME.type}#v2": of_another}
    found = parameters.effective(given_, VOLUME)
    for name in {*of_type, *of_resource}:
        wanted = of_resource[name] if name in of_resource else of_type[name]
        assert found.get(name) == wanted
    assert None not in found.values()
    assert set(found) <= {*of_type, *of_resource}


def test_no_options_at_all():
    assert parameters.effective({}, VOLUME) == {}
    assert parameters.effective({VOLUME.type: None}, VOLUME) == {}  # type: ignore[dict-item]


SCHEMAS = {
    VOLUME.type: {
        "type": "object",
        "properties": {"restore_name": {"type": "string", "maxLength": 5}, "force": {"type": "boolean"}},
        "required": ["restore_name"],
    },
    "OS::Keystone::Project": {},
}


@pytest.mark.parametrize(
    "accepted",
    [
        {},
        {VOLUME.type: {}},
        {VOLUME.type: {"restore_name": None, "force": None}},
        {VOLUME.type: {"restore_name": "", "force": ""}},
        {VOLUME.key: {"restore_name": "abc", "force": False}},
        {"OS::Keystone::Project": {}},
        {"OS::Nova::Server": {"restore_name": None}},
        {"OS::Nova::Server": None},
    ],
)
def test_what_clients_send_is_accepted(accepted):
    parameters.check(accepted, SCHEMAS, "restore")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (
            {"OS::Nova::Server": {"restore_name": "x"}},
            r"parameters\['OS::Nova::Server'\]: the provider takes no restore parameters for OS::Nova::Server, "
            "only for OS::Cinder::Volume, OS::Keystone::Project",
        ),
        ({VOLUME.type: {"name": "x"}}, "no restore parameter 'name'; known: force, restore_name"),
        ({"OS::Keystone::Project": {"name": "x"}}, "no restore parameter 'name'; known: none"),
        ({VOLUME.key: {"force": "yes"}}, r"\['OS::Cinder::Volume#v1'\]\['force'\]: 'yes' is not of type 'boolean'"),
        ({VOLUME.type: {"restore_name": "too long"}}, "'too long' is too long"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(refused, message):
    with pytest.raises(exception.InvalidInput, match=message):
        parameters.check(refused, SCHEMAS, "restore")
