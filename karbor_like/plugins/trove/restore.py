"""The restore of a database instance: a new instance of the backup."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.plugins.neutron.schema import NET
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, names, planning
from karbor_like.plugins.toolkit.details import Details
from karbor_like.plugins.trove import backup, objects
from karbor_like.plugins.trove.objects import Instances

#: Role of the restored instance.
INSTANCE: Final = "instance"

_REPLICA: Final = "the original was a replica of database instance {}: the restored one is independent"
_CONFIGURATION: Final = "the configuration group {} of the original does not exist any more: the restored one has none"


class Restore(ResourceOperation):
    """Creates an instance like the original. It is the last step, because a restored network may exist only then."""

    plugin: Any

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        def obstacles() -> list[str]:
            document = backup.document(context)
            backup.require_usable(context, document["backup"])
            described = document["instance"]
            reasons = [_flavor(context, described)[1], _no_network(context, described)]
            lacks = described["configuration"] and not _existing_configuration(context, described["configuration"])
            if planning.is_strict(context) and lacks:
                reasons.append(_CONFIGURATION.format(described["configuration"]))
            return [reason for reason in reasons if reason]

        return planning.plan(context, obstacles, PlannedAction(Action.CREATE, context.resource.key))

    def complete(self, context: HookContext) -> dict[str, Any]:
        document = backup.document(context)
        described, size = document["instance"], document["backup"]["size"]
        total = int((size or 0) * self.plugin.gib)
        context.report.progress(0, total)
        configuration = _existing_configuration(context, described["configuration"])
        context.report.step("creating a database instance of the backup")
        instance_id = _create(context, document, configuration)
        timeout = self.plugin.timeout(context, (described["volume"] or 1) * self.plugin.gib)
        cloud_objects.wait(context, Instances(context.clients), instance_id, timeout)
        context.report.progress(total, total)
        details = Details(context, f"database instance {instance_id}")
        name = names.restored(context.parameters, described["name"])
        details.set("name", lambda: context.clients.trove().rename(instance_id, name))
        remarks = details.finish(Instances(context.clients), instance_id)
        if described["replica_of"]:
            remarks.append(_REPLICA.format(described["replica_of"]))
        if described["configuration"] and not configuration:
            remarks.append(_CONFIGURATION.format(described["configuration"]))
        return {"restored": {context.resource.key: instance_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {INSTANCE: Instances(context.clients)})


def _create(context: HookContext, document: Mapping[str, Any], configuration: str | None) -> str:
    """Return the id of the instance. Create it unless an earlier attempt did."""
    described = document["instance"]
    flavor, conflict = _flavor(context, described)
    if conflict:
        raise exception.Conflict(conflict)
    network, zone = _network(context, described), context.parameters.get("availability_zone")
    values = {
        "flavorRef": flavor,
        "datastore": described["datastore"],
        "restorePoint": {"backupRef": document["backup"]["id"]},
        **({"volume": {"size": described["volume"]}} if described["volume"] else {}),
        **({"nics": [{"net-id": network}]} if network else {}),
        **({"availability_zone": zone} if zone else {}),
        **({"configuration": configuration} if configuration else {}),
        **({"access": described["access"]} if described["access"] else {}),
    }

    def create(name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating a database instance for {context.resource.key}"):
            return str(context.clients.trove().create("instances", {"name": name, **values})["id"])

    return cloud_objects.ensure(context, Instances(context.clients), INSTANCE, create, keep=True)


def _flavor(context: HookContext, described: Mapping[str, Any]) -> tuple[str, str]:
    """Return the id of the flavor, and why the restore cannot succeed, or an empty text."""
    requested = context.parameters.get("flavor")
    offered = objects.read(context, "the flavors of Trove", context.clients.trove().flavors)
    wanted = [requested] if requested else [described["flavor"]["id"], described["flavor"]["name"]]
    for member in ("id", "name"):
        for each in offered:
            if each.get(member) is not None and each.get(member) in wanted:
                return each["id"], ""
    shown = requested or described["flavor"]["name"] or described["flavor"]["id"]
    return "", f"this cloud does not offer the flavor {shown!r}: choose one with the parameter 'flavor'"


def _network(context: HookContext, described: Mapping[str, Any]) -> str | None:
    """Return the id of the network: the requested one, the restored one, or the one of the original. None: Trove's own."""
    requested = context.parameters.get("restore_net_id")
    if requested or not described["networks"]:
        return requested
    original = described["networks"][0]
    key = f"{NET}#{original}"
    used = context.template.existing(key) if context.template else None
    return context.mapping.get(key) or context.restored.get(key) or used or original


def _no_network(context: HookContext, described: Mapping[str, Any]) -> str:
    """Return why the instance has no network, or an empty text."""
    requested = context.parameters.get("restore_net_id")
    if not requested and any(each.type == resource.NETWORK for each in context.dependencies):
        return ""  # it is restored before
    network = _network(context, described)
    if network is None:
        return ""
    try:
        objects.read(context, f"network {network}", lambda: context.clients.neutron().show("networks", network))
    except (exception.ResourceNotFound, exception.InvalidInput):
        return f"network {network} does not exist: choose one with the parameter 'restore_net_id'"
    return ""


def _existing_configuration(context: HookContext, configuration_id: str | None) -> str | None:
    """Return the id of the configuration group if it still exists."""
    if configuration_id is None:
        return None
    try:
        objects.read(
            context,
            f"configuration group {configuration_id}",
            lambda: context.clients.trove().show("configurations", configuration_id),
        )
    except exception.ResourceNotFound:
        return None
    return configuration_id
