"""Properties of images, volumes and shares that concern more than the object that has them.

A restored object is a copy of the original. It must not get power over an object that belongs to the original, such as its
encryption key, and services must not treat it as the original. Properties without a rule describe only the object that has
them; they are restored. ``doc/source/user/properties.rst`` shows the rules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from karbor_like.plugins.toolkit import ownership


class Effect(StrEnum):
    """What happens to a property."""

    #: It is restored, for the reason that the rule states.
    KEPT = "kept"
    #: It is recorded, but not restored. A remark states the reason.
    DROPPED = "dropped"
    #: The service or this software sets it by itself. It is not recorded.
    OWN = "own"


@dataclass(frozen=True)
class Rule:
    """The rule for one property.

    :param name: its name, or the beginning of a name, followed by ``*``
    :param reason: a clause that can follow "because"
    """

    name: str
    effect: Effect
    reason: str

    def applies(self, name: str) -> bool:
        """Return whether the rule is for the property *name*."""
        return name.startswith(self.name[:-1]) if self.name.endswith("*") else name == self.name


_MARKERS: Final = tuple(Rule(name, Effect.OWN, "it marks the objects of an operation") for name in ownership.ALL)

_KEY: Final = (
    "it names the key of the original, which is not in the bank and without which the bytes cannot be decrypted"
)
_KEY_POLICY: Final = "the key of the original would be deleted together with the restored object"
_POINTS: Final = "it points to snapshots or volumes of the original, from which servers would be booted"
_SIGNATURE: Final = "it signs the bytes, which are the same, and the certificate is only read"
_OWNER: Final = "it describes the owner of the original, and no service grants rights because of it"
_ORIGIN: Final = "it describes where the original comes from, and is only read"

#: Properties of images. Cinder copies them into the image metadata of volumes, and from there into images of these volumes.
IMAGE_PROPERTIES: Final = (
    Rule("cinder_encryption_key_id", Effect.DROPPED, _KEY),
    Rule("cinder_encryption_key_deletion_policy", Effect.DROPPED, _KEY_POLICY),
    Rule("os_encrypt_key_id", Effect.DROPPED, _KEY),
    Rule("os_encrypt_key_deletion_policy", Effect.DROPPED, _KEY_POLICY),
    Rule("block_device_mapping", Effect.DROPPED, _POINTS),
    Rule("bdm_v2", Effect.DROPPED, _POINTS),
    Rule("backup_type", Effect.DROPPED, "Nova would delete old backups of the server in favour of the restored image"),
    Rule("mappings", Effect.KEPT, "it names devices of the guest, and no object of the cloud"),
    Rule("root_device_name", Effect.KEPT, "it names a device of the guest, and no object of the cloud"),
    Rule("kernel_id", Effect.KEPT, "servers of the restored image boot with the same kernel, which is only read"),
    Rule("ramdisk_id", Effect.KEPT, "servers of the restored image boot with the same RAM disk, which is only read"),
    Rule("img_signature", Effect.KEPT, _SIGNATURE),
    Rule("img_signature_*", Effect.KEPT, _SIGNATURE),
    Rule("signature_verified", Effect.OWN, "Cinder sets it by itself"),
    Rule("base_image_ref", Effect.KEPT, _ORIGIN),
    Rule("image_location", Effect.KEPT, _ORIGIN),
    Rule("image_type", Effect.KEPT, _ORIGIN),
    Rule(
        "instance_uuid",
        Effect.KEPT,
        "it describes where the original comes from; Nova acts on it only with backup_type",
    ),
    Rule("boot_roles", Effect.KEPT, _OWNER),
    Rule("owner_id", Effect.KEPT, _OWNER),
    Rule("owner_project_name", Effect.KEPT, _OWNER),
    Rule("owner_user_name", Effect.KEPT, _OWNER),
    Rule("user_id", Effect.KEPT, _OWNER),
    Rule("owner_specified.*", Effect.KEPT, "clients recognize the bytes by it, which are the same"),
    Rule("cinder_img_volume_type", Effect.KEPT, "it names a volume type, which is only read"),
    Rule("os_glance*", Effect.OWN, "Glance keeps its own records in it, and refuses it in requests"),
    *_MARKERS,
)

_SET_BY_GLANCE: Final = (
    *("id", "owner", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
    *("created_at", "updated_at", "file", "self", "schema", "direct_url", "locations", "stores"),
)
_RESTORED_BY_ITSELF: Final = ("name", "disk_format", "container_format", "visibility", "protected")

#: Members of an image in Glance's API.
IMAGE: Final = (
    *IMAGE_PROPERTIES,
    *(Rule(name, Effect.OWN, "Glance sets it by itself") for name in _SET_BY_GLANCE),
    *(Rule(name, Effect.OWN, "it is restored by itself") for name in _RESTORED_BY_ITSELF),
)

#: Metadata of volumes, as Cinder shows it.
VOLUME_METADATA: Final = (
    Rule("readonly", Effect.OWN, "Cinder shows the read-only flag in it, which is restored by itself"),
    Rule("attached_mode", Effect.OWN, "Cinder shows in it how the volume is attached"),
    Rule("src_backup_id", Effect.OWN, "Cinder notes in it which backup the volume was restored from"),
    *_MARKERS,
)

_HINT: Final = "Manila keeps in it near which other shares it placed the share"

#: Metadata of shares.
SHARE_METADATA: Final = (
    Rule("__affinity_same_host", Effect.OWN, _HINT),
    Rule("__affinity_different_host", Effect.OWN, _HINT),
    *_MARKERS,
)


def recorded(properties: Mapping[str, Any], rules: Iterable[Rule]) -> dict[str, Any]:
    """Return the properties that a checkpoint records."""
    return {name: value for name, value in properties.items() if _effect(name, rules) is not Effect.OWN}


def restored(properties: Mapping[str, Any], rules: Iterable[Rule]) -> dict[str, Any]:
    """Return the recorded properties that a restored object gets."""
    return {name: value for name, value in properties.items() if _effect(name, rules) is Effect.KEPT}


def dropped(properties: Mapping[str, Any], rules: Iterable[Rule]) -> list[str]:
    """Return the names of the properties that give power over other objects or point to them."""
    return [name for name in properties if _effect(name, rules) is Effect.DROPPED]


def remarks(properties: Mapping[str, Any], rules: Iterable[Rule], label: str) -> list[str]:
    """Return a remark for each reason for which recorded properties are not restored.

    :param label: what they are, such as "property"
    """
    names: dict[str, list[str]] = {}
    for rule in rules:
        if rule.effect is Effect.DROPPED:
            names.setdefault(rule.reason, []).extend(name for name in properties if rule.applies(name))
    return [f"{label} {', '.join(found)} was not restored: {reason}" for reason, found in names.items() if found]


def _effect(name: str, rules: Iterable[Rule]) -> Effect:
    return next((rule.effect for rule in rules if rule.applies(name)), Effect.KEPT)
