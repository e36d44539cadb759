"""The properties of a Cinder volume: how they are stored and restored."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients

#: Members that Cinder adds to the metadata it shows.
_READONLY: Final = "readonly"
_NOT_METADATA: Final = frozenset({_READONLY, "attached_mode"})


def describe(volume: Any) -> dict[str, Any]:
    """Return the properties of *volume* as a JSON object. Size is in GiB."""
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
    """Return arguments for the creation of a volume like this one, and remarks on what must differ.

    The restore must succeed even if volume type or availability zone do not exist in this cloud.
    """
    wanted, remarks = {}, []
    with translated("the volume types and availability zones"):
        if document["volume_type"]:
            offered = {volume_type.name for volume_type in clients.cinder().volume_types.list()}
            if document["volume_type"] in offered:
                wanted["volume_type"] = document["volume_type"]
            else:
                remarks.append(f"volume type {document['volume_type']!r} does not exist; the default type was used")
        if document["availability_zone"]:
            zones = clients.cinder().availability_zones.list(detailed=False)
            if document["availability_zone"] in {
                zone.zoneName for zone in zones if zone.zoneState.get("available", True)
            }:
                wanted["availability_zone"] = document["availability_zone"]
            else:
                remarks.append(
                    f"availability zone {document['availability_zone']!r} does not exist; the default zone was used"
                )
    return wanted, remarks


def apply(clients: Clients, volume_id: str, document: Mapping[str, Any], name: str) -> None:
    """Give the available volume the properties in *document* and the name *name*. Idempotent.

    Because the volume was created from an image, Cinder set it bootable and added the image's metadata. It also carries the
    markers of the operation.
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
