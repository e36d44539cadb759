"""What clients of Karbor send as options: every plugin with a name of Karbor takes it."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import pytest
from oslo_utils import uuidutils

from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.protection.registry import parameters

VOLUME, SERVER = "OS::Cinder::Volume", "OS::Nova::Server"
ID = "77aa0000-0000-4000-8000-000000000001"
NAME = {"restore_name": "again"}
NO_NAME = {"restore_name": None}
#: Plugin -> its type, and the options of a protect and of a restore, each as a client sends an empty and a filled-in form.
FORMS: Mapping[str, tuple[str, tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]] = {
    "volume-protection": (
        VOLUME,
        (
            {"backup_name": None, "backup_mode": "full", "container": None, "description": None, "force": False},
            {"backup_name": "b", "backup_mode": "incremental", "container": "c", "description": "d", "force": True},
        ),
        (
            {"volume_id": None, "restore_name": None, "restore_description": None},
            {"volume_id": ID, "restore_name": "again", "restore_description": "d"},
        ),
    ),
    "volume-snapshot": (
        VOLUME,
        (
            {"snapshot_name": None, "description": None, "force": False},
            {"snapshot_name": "s", "description": "d", "force": True},
        ),
        ({"restore_name": None, "restore_description": None}, {"restore_name": "again", "restore_description": "d"}),
    ),
    "volume-glance": (
        VOLUME,
        ({"backup_name": None, "description": None}, {"backup_name": "b", "description": "d"}),
        (NO_NAME, NAME),
    ),
    "image-protection": ("OS::Glance::Image", ({"backup_name": None}, {"backup_name": "b"}), (NO_NAME, NAME)),
    "server-protection": (
        SERVER,
        ({},),
        (
            {"restore_name": None, "restore_net_id": None, "restore_flavor_id": None},
            {"restore_name": "again", "restore_net_id": ID, "restore_flavor_id": "2"},
        ),
    ),
    "share-protection": (
        "OS::Manila::Share",
        (
            {"snapshot_name": None, "description": None, "force": False},
            {"snapshot_name": "s", "description": "d", "force": True},
        ),
        (NO_NAME, NAME),
    ),
    "database-protection": (
        "OS::Trove::Instance",
        ({"backup_name": None, "description": None}, {"backup_name": "b", "description": "d"}),
        (NO_NAME, NAME),
    ),
    "pod-protection": ("OS::Kubernetes::Pod", ({},), (NO_NAME, NAME)),
    "network-protection": ("OS::Neutron::Network", ({},), (NO_NAME, NAME)),
}


def plugins() -> Mapping[str, type[ProtectionPlugin]]:
    """Return the classes of the installed plugins that have a name of Karbor, by the middle part of their names.

    Without a fallback, which has no options.
    """
    found = {each.name: each.load() for each in entry_points(group="karbor_like.protections")}
    return {name[7:-7]: each for name, each in found.items() if name.startswith("karbor-") and not each.is_fallback}


def test_all_plugins_with_a_name_of_karbor_are_tested():
    assert set(plugins()) == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_old_clients_are_accepted(name: str) -> None:
    resource_type, protects, restores = FORMS[name]
    schemas = plugins()[name].schemas[resource_type]
    for schema, forms in ((schemas.options, protects), (schemas.restore, restores)):
        for form in forms:
            for key in (resource_type, f"{resource_type}#{ID}"):
                sent = parameters.check(
                    {key: form},
                    {resource_type: schema},
                    {resource_type: uuidutils.is_uuid_like},
                    root="restore.parameters",
                    strict=True,
                )
                assert sent == {key: {option: value for option, value in form.items() if value is not None}}
