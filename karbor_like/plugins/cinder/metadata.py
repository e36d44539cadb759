"""The properties of a Cinder volume: how they are stored and restored."""

from collections.abc import Mapping
from typing import Any

from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names, ownership, properties
from karbor_like.plugins.toolkit.details import Details


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
        "readonly": volume.metadata.get("readonly") == "True",
        "metadata": properties.recorded(volume.metadata, properties.VOLUME_METADATA),
        "image_metadata": properties.recorded(_image_metadata(volume), properties.IMAGE_PROPERTIES),
    }


def offered(clients: Clients) -> dict[str, dict[str, str]]:
    """Return the volume types and the availability zones that the project may use in this cloud: the names by ids.

    The id of a zone is its name. Raises what ``translated`` raises.
    """
    with translated("the volume types and availability zones"):
        types = clients.cinder().volume_types.list()
        zones = clients.cinder().availability_zones.list(detailed=False)
    usable = [zone.zoneName for zone in zones if zone.zoneState.get("available", True)]
    return {
        "volume_type": {volume_type.id: volume_type.name for volume_type in types},
        "availability_zone": {name: name for name in usable},
    }


def differences(volume: Any, document: Mapping[str, Any]) -> list[str]:
    """Return remarks on what is not restored on purpose, or cannot be: metadata, and the placement of the new *volume*."""
    dropped = properties.remarks(document["image_metadata"], properties.IMAGE_PROPERTIES, "image metadata")
    return [*dropped, *placement_differences(volume, document)]


def placement_differences(volume: Any, document: Mapping[str, Any]) -> list[str]:
    """Return how the placement of *volume* differs from that in *document*."""
    return [
        f"the {name.replace('_', ' ')} is {getattr(volume, name)!r} instead of {document[name]!r}"
        for name in ("volume_type", "availability_zone")
        if document.get(name) and getattr(volume, name) != document[name]
    ]


def apply(context: HookContext, volume: Any, document: Mapping[str, Any], name: str) -> list[str]:
    """Give the complete *volume* the properties in *document* and the name *name*. Idempotent.

    If the volume was created from an image, Cinder set it bootable and added the image's metadata. It also carries the
    markers of the operation.

    Returns a remark for each property that the cloud refuses. Raises ResourceNotFound if the volume no longer exists, and
    what ``context.check`` raises.
    """
    details, manager = Details(context, f"volume {volume.id}"), context.clients.cinder().volumes
    if (volume.bootable == "true") != document["bootable"]:
        details.set("bootable flag", lambda: manager.set_bootable(volume.id, document["bootable"]))
    wanted = properties.restored(document["image_metadata"], properties.IMAGE_PROPERTIES)
    _apply_image_metadata(details, manager, volume, wanted)
    if document["readonly"]:
        details.set("read-only flag", lambda: manager.update_readonly_flag(volume.id, True))
    texts = {"name": name, "description": document["description"]}
    details.set_all(
        texts,
        lambda values: manager.update(volume.id, **values),
        instead={key: names.plain(text) for key, text in texts.items() if text},
    )
    _apply_metadata(details, manager, volume, document["metadata"])
    return details.finish(Volumes(context.clients), volume.id)


def disarm(context: HookContext, volume: Any) -> None:
    """Remove image metadata from a temporary volume that must not get into an image of it.

    Cinder copies image metadata into properties of the image. Glance deletes the encryption key that they name together with
    the image, and verifies a signature of bytes that have changed since.

    Raises what ``translated`` raises.
    """
    manager = context.clients.cinder().volumes

    def harmful(current: Any) -> list[str]:
        present = _image_metadata(current)
        signature = [key for key in present if key.startswith("img_signature")]
        return [*properties.dropped(present, properties.IMAGE_PROPERTIES), *signature]

    def remove() -> None:
        with translated(f"removing image metadata from the temporary volume {volume.id}"):
            manager.delete_image_metadata(volume.id, harmful(manager.get(volume.id)))

    if harmful(volume):
        context.waiter.call(remove, check=context.check)


def _apply_image_metadata(details: Details, manager: Any, volume: Any, wanted: Mapping[str, str]) -> None:
    def surplus(current: Any) -> list[str]:
        present = _image_metadata(current)
        settable = {*properties.recorded(present, properties.IMAGE_PROPERTIES), *ownership.ALL}
        return [key for key in present if key in settable and key not in wanted]

    def remove() -> None:
        # A request that is repeated because its answer was lost would not find the key.
        manager.delete_image_metadata(volume.id, surplus(manager.get(volume.id)))

    if surplus(volume):
        details.set("image metadata without the temporary image's", remove)
    present = _image_metadata(volume)
    details.set_all(
        {key: value for key, value in wanted.items() if present.get(key) != value},
        lambda values: manager.set_image_metadata(volume.id, dict(values)),
        label="image metadata ",
    )


def _apply_metadata(details: Details, manager: Any, volume: Any, wanted: Mapping[str, str]) -> None:
    def remove_markers() -> None:
        accepted = properties.recorded(manager.get(volume.id).metadata, properties.VOLUME_METADATA)
        manager.update_all_metadata(volume.id, accepted)

    if details.attempt(lambda: manager.update_all_metadata(volume.id, dict(wanted))) is not None:
        details.set_all(wanted, lambda values: manager.set_metadata(volume.id, dict(values)), label="metadata ")
        details.set("metadata without the operation's markers", remove_markers)


def _image_metadata(volume: Any) -> dict[str, str]:
    return dict(getattr(volume, "volume_image_metadata", None) or {})
