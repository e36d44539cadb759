"""The volume that a restore creates: its placement, and what it gets from the description of the protected one."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder import metadata
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, names
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.details import Details

#: Role of the volume.
VOLUME: Final = "volume"

#: Restore parameters that name and describe the volume.
NAME_PROPERTIES: Final[Mapping[str, Any]] = {
    "restore_name": {
        **names.NAME,
        "title": "Restore Name",
        "description": "The name of the restored volume.",
        "default": None,
    },
    "restore_description": {
        **names.DESCRIPTION,
        "title": "Restore Description",
        "description": "The description of the restored volume.",
        "default": None,
    },
}

#: Restore parameters that choose where the volume is created.
PLACEMENT_PROPERTIES: Final[Mapping[str, Any]] = {
    "volume_type": {
        **names.NAME,
        "title": "Volume Type",
        "description": "The name of the volume type of the restored volume.",
        "default": None,
    },
    "availability_zone": {
        **names.NAME,
        "title": "Availability Zone",
        "description": "The availability zone of the restored volume.",
        "default": None,
    },
}


def requested(context: HookContext) -> dict[str, str]:
    """Return the placement that the restore request names, as arguments for the creation of a volume."""
    return {name: context.parameters[name] for name in PLACEMENT_PROPERTIES if context.parameters.get(name)}


def unavailable(context: HookContext) -> list[str]:
    """Return a reason for each part of the requested placement that this cloud does not offer."""
    wanted = requested(context)
    if not wanted:
        return []
    offered = context.waiter.call(lambda: metadata.placement(context.clients, wanted), check=context.check)
    return [
        f"this cloud does not offer the {name.replace('_', ' ')} {value!r}"
        for name, value in wanted.items()
        if name not in offered
    ]


def needs(size: int) -> dict[str, int]:
    """Return what a volume uses up of Cinder's quotas.

    :param size: GiB
    """
    return {"volumes": 1, "gigabytes": size}


def placement(context: HookContext, document: Mapping[str, Any]) -> dict[str, str]:
    """Return arguments for the creation: the requested placement, and that of the original as far as this cloud offers it.

    :param document: what :func:`metadata.describe` returned
    """
    wanted = {**document, **requested(context)}
    return context.waiter.call(lambda: metadata.placement(context.clients, wanted), check=context.check)


def create(context: HookContext, size: int, arguments: Mapping[str, Any]) -> str:
    """Return the id of the volume. Create it unless an earlier attempt did.

    :param size: GiB
    :param arguments: further arguments of cinderclient: the source, and the placement
    """

    def send(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating a volume for {context.resource.key}"):
            volume = context.clients.cinder().volumes.create(size, name=name, metadata=markers, **arguments)
        return volume.id

    return cloud_objects.ensure(context, Volumes(context.clients), VOLUME, send, keep=True)


def wait(context: HookContext, volume_id: str, size: int, timeout: float) -> Any:
    """Wait until the volume is available, and return it.

    :param size: that of the protected volume, GiB
    :param timeout: seconds

    Raises ResourceFailed with Cinder's reason, also if the volume has another size.
    """
    context.report.step("waiting for the volume")
    volume = cloud_objects.wait(context, Volumes(context.clients), volume_id, timeout)
    require_equal(f"size in GiB of volume {volume.id}", {"protected": size, "restored": volume.size})
    return volume


def finish(context: HookContext, volume: Any, document: Mapping[str, Any]) -> list[str]:
    """Give the complete *volume* the properties in *document*, with the name and the description that the request names.

    Idempotent. Returns remarks on what differs from the original and from the request.
    """
    context.report.step("restoring the volume's metadata")
    name = context.parameters.get("restore_name") or document["name"]
    description = context.parameters.get("restore_description") or document["description"]
    return [
        *metadata.differences(volume, {**document, **requested(context)}),
        *metadata.apply(context, volume, {**document, "description": description}, name),
    ]


def name_existing(context: HookContext, volume_id: str) -> list[str]:
    """Give a volume that existed before the requested name and description only. Return remarks."""
    given = {"name": "restore_name", "description": "restore_description"}
    texts = {key: context.parameters[name] for key, name in given.items() if context.parameters.get(name)}
    details = Details(context, f"volume {volume_id}")
    details.set_all(texts, lambda values: context.clients.cinder().volumes.update(volume_id, **values))
    return details.finish(Volumes(context.clients), volume_id)
