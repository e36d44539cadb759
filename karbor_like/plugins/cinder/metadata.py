"""What is kept of a Cinder volume beside its bytes, and how a restored volume gets it back."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients

#: Cinder shows these among a volume's metadata although they are none.
_READONLY: Final = "readonly"
_NOT_METADATA: Final = frozenset({_READONLY, "attached_mode"})


def describe(volume: Any) -> dict[str, Any]:
    """The document of *volume*, as JSON. Size is in GiB."""
    return {
        "id": volume.id,
        "name": volume.name or "",
        "description": volume.description,
        "size": volume.size,
        "volume_type": volume.volume_type,
        "availability_zone": volume.availability_zone,
        "bootable": volume.bootable == "true",
        "readonly": volume.metadata.get(_READONLY) == "True",
        "metadata": {key: value for key, value in volume.metadata.items() if key not in _NOT_METADATA},
        "image_metadata": dict(getattr(volume, "volume_image_metadata", None) or {}),
    }


def placement(clients: Clients, document: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Where a volume like this one can be made: arguments for its creation, and remarks on what could not be as it was.

    A type or zone that does not exist (any more, or in this cloud) must not make a restore impossible.
    """
    wanted, remarks = {}, []
    with translated("the volume types and availability zones"):
        if document["volume_type"]:
            offered = {found.name for found in clients.cinder().volume_types.list()}
            if document["volume_type"] in offered:
                wanted["volume_type"] = document["volume_type"]
            else:
                remarks.append(f"there is no volume type {document['volume_type']!r}: the default one was taken")
        if document["availability_zone"]:
            zones = clients.cinder().availability_zones.list(detailed=False)
            if document["availability_zone"] in {
                zone.zoneName for zone in zones if zone.zoneState.get("available", True)
            }:
                wanted["availability_zone"] = document["availability_zone"]
            else:
                remarks.append(
                    f"there is no availability zone {document['availability_zone']!r}: the default one was taken"
                )
    return wanted, remarks


def apply(clients: Clients, volume_id: str, document: Mapping[str, Any], name: str) -> None:
    """Make the available volume look like the one in *document*, but for its name, which becomes *name*. Repeatable.

    It was made from an image, so Cinder took it for bootable and noted the image; and it bears the marks of the operation.
    """
    manager = clients.cinder().volumes
    with translated(f"restoring the metadata of volume {volume_id}"):
        volume = manager.get(volume_id)
        if (volume.bootable == "true") != document["bootable"]:
            manager.set_bootable(volume_id, document["bootable"])
        _apply_image_metadata(manager, volume, document["image_metadata"])
        if document["readonly"]:
            manager.update_readonly_flag(volume_id, True)
        manager.update(volume_id, name=name, description=document["description"])
        manager.update_all_metadata(volume_id, document["metadata"])


def _apply_image_metadata(manager: Any, volume: Any, wanted: Mapping[str, str]) -> None:
    present = dict(getattr(volume, "volume_image_metadata", None) or {})
    surplus = [key for key in present if key not in wanted]
    if surplus:
        manager.delete_image_metadata(volume.id, surplus)
    changed = {key: value for key, value in wanted.items() if present.get(key) != value}
    if changed:
        manager.set_image_metadata(volume.id, changed)
