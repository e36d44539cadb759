"""Lines in the provider files of Karbor that mean something else here, so that these files can be used.

Names that are the same here, such as ``karbor-image-protection-plugin``, are entry points in setup.cfg.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Replacement:
    """What is used instead of a plugin of Karbor.

    :param plugin: an entry point of ``karbor_like.protections``
    :param remark: what this means, and what to do
    """

    plugin: str
    remark: str


PLUGINS: Final[Mapping[str, Replacement]] = {
    "karbor-volume-freezer-plugin": Replacement(
        "volume-glance", "stores volumes in the bank, not with Freezer; write 'plugin = volume-glance' instead"
    ),
}

_LEASES = "is ignored, because the leases of a bank need no options; remove it"
_POLLING = "is ignored; remove it and set [waiter] in karbor_like.conf"
_PLUGIN_SECTIONS = (
    "cinder_backup_protection_plugin",
    "database_backup_plugin",
    "freezer_protection_plugin",
    "image_backup_plugin",
    "manila_snapshot_plugin",
    "neutron_backup_protection_plugin",
    "nova_backup_protection_plugin",
    "pod_backup_protection_plugin",
    "volume_glance_plugin",
    "volume_snapshot_plugin",
)

#: Section and option -> what becomes of it.
OPTIONS: Final[Mapping[tuple[str, str], str]] = {
    **{
        (section, f"lease_{name}_window"): _LEASES
        for section in ("swift_bank_plugin", "s3_bank_plugin")
        for name in ("expire", "renew", "validity")
    },
    ("s3_bank_plugin", "bank_s3_lease_bucket"): "is ignored, because leases are stored in the bank's bucket; remove it",
    **{(section, "poll_interval"): _POLLING for section in _PLUGIN_SECTIONS},
    **{
        (section, "backup_from_snapshot"): "is ignored, because volumes are always copied from a snapshot; remove it"
        for section in ("cinder_backup_protection_plugin", "volume_glance_plugin")
    },
    **{
        (section, "backup_image_object_size"): "is ignored, because the bank chooses the sizes of objects; remove it"
        for section in ("image_backup_plugin", "volume_glance_plugin")
    },
    ("image_backup_plugin", "enable_server_snapshot"): (
        "is ignored, because the plugin 'server' stores the root disks of servers; remove it"
    ),
}
