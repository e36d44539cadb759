"""The volume that a restore creates: its placement, and what it gets from the description of the protected one."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder import metadata
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects, names, planning
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.details import Details, shorten

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
    **names.PREFIX_PROPERTIES,
}

#: Restore parameters that choose where the volume is created.
PLACEMENT_PROPERTIES: Final[Mapping[str, Any]] = {
    "volume_type": {
        **names.NAME,
        "title": "Volume Type",
        "description": "The name or the ID of the volume type of the restored volume.",
        "default": None,
    },
    "availability_zone": {
        **names.NAME,
        "title": "Availability Zone",
        "description": "The availability zone of the restored volume.",
        "default": None,
    },
    **planning.STRICT_PROPERTIES,
}

_PLACEMENT: Final = ("volume_type", "availability_zone")

Values = Mapping[str, Any]
Offered = Mapping[str, Mapping[str, str]]


def requested(context: HookContext) -> dict[str, str]:
    """Return the placement that the restore request names."""
    return {name: context.parameters[name] for name in _PLACEMENT if context.parameters.get(name)}


def choose(
    offered: Offered, given: Values, original: Values, *, strict: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Choose the placement of a volume: the requested one, or that of the original, or none if the cloud lacks that.

    :param offered: what :func:`metadata.offered` returned
    :param given: what the request names, by name or id
    :param original: names
    :param strict: whether the cloud must offer the placement of the original
    :returns: arguments for the creation, and the reasons why the volume cannot be created as requested
    """
    arguments, reasons = dict[str, str](), []
    for part in _PLACEMENT:
        there, wanted = offered[part], str(given.get(part) or original.get(part) or "")
        if given.get(part) in there:
            arguments[part] = there[wanted]
        elif wanted in there.values():
            arguments[part] = wanted
        elif given.get(part) or (wanted and strict):
            known = shorten(sorted(there.values())) or "none"
            label = part.replace("_", " ")
            reasons.append(f"this cloud does not offer the {label} {wanted!r}; it offers {known}: choose with {part!r}")
    return arguments, reasons


def unavailable(context: HookContext, original: Values) -> list[str]:
    """Return the reasons why the volume cannot be created where the request asks for it.

    :param original: as for :func:`placement`
    """
    strict = planning.is_strict(context)
    return _choose(context, original, strict=strict)[1] if strict or requested(context) else []


def moved(context: HookContext, document: Values, volume_id: str) -> list[str]:
    """Return the reasons why a volume of a snapshot would not be placed as the original was, if the restore is strict.

    :param document: what :func:`metadata.describe` returned
    :param volume_id: of the volume of the snapshot, which lends its placement
    """
    if not planning.is_strict(context):
        return []
    volume = cloud_objects.fetch(context, Volumes(context.clients), volume_id)
    kept = {name: value for name, value in document.items() if name not in requested(context)}
    return metadata.placement_differences(volume, kept)


def _choose(context: HookContext, original: Values, *, strict: bool = False) -> tuple[dict[str, str], list[str]]:
    offered = context.waiter.call(lambda: metadata.offered(context.clients), check=context.check)
    return choose(offered, requested(context), original, strict=strict)


def needs(size: int) -> dict[str, int]:
    """Return what a volume uses up of Cinder's quotas.

    :param size: GiB
    """
    return {"volumes": 1, "gigabytes": size}


def placement(context: HookContext, original: Values) -> dict[str, str]:
    """Return arguments for the creation: the requested placement, and that of the original as far as this cloud offers it.

    :param original: what :func:`metadata.describe` returned; empty if something else lends its placement
    """
    return _choose(context, original)[0] if original or requested(context) else {}


def create(context: HookContext, size: int, arguments: Mapping[str, Any], *, role: str = VOLUME) -> str:
    """Return the id of the volume. Create it unless an earlier attempt did.

    :param size: GiB
    :param arguments: further arguments of cinderclient: the source, and the placement
    :param role: of the volume in the journal
    """

    def send(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating a volume for {context.resource.key}"):
            volume = context.clients.cinder().volumes.create(size, name=name, metadata=markers, **arguments)
        return volume.id

    return cloud_objects.ensure(context, Volumes(context.clients), role, send, keep=True)


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
    name = names.restored(context.parameters, document["name"])
    description = context.parameters.get("restore_description") or document["description"]
    asked = placement(context, {})
    return [
        *metadata.differences(volume, {**document, **asked}),
        *metadata.apply(context, volume, {**document, "description": description}, name),
    ]


def name_existing(context: HookContext, volume_id: str) -> list[str]:
    """Give a volume that existed before the requested name and description only. Return remarks."""
    given = {"name": "restore_name", "description": "restore_description"}
    texts = {key: context.parameters[name] for key, name in given.items() if context.parameters.get(name)}
    details = Details(context, f"volume {volume_id}")
    details.set_all(texts, lambda values: context.clients.cinder().volumes.update(volume_id, **values))
    return details.finish(Volumes(context.clients), volume_id)
