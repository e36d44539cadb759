"""What the target of a restore has that a server needs: flavors, zones, volumes and networks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.neutron import schema as network
from karbor_like.plugins.neutron.protectable import DEFAULT_GROUP
from karbor_like.plugins.nova import deployables, placement, reading
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import planning

_COLLECTIONS: Final = {network.NET: "networks", network.SUBNET: "subnets", network.GROUP: "security-groups"} | {
    network.QOS: "qos/policies"
}
#: Ids in one request: more would make the URL too long for some servers.
_IDS: Final = 50

Values = Mapping[str, Any]


class Target:
    """The cloud in which a server is restored. Every method only reads, and retries."""

    def __init__(self, context: HookContext) -> None:
        self._context = context

    def _call(self, function: Any) -> Any:
        return self._context.waiter.call(function, check=self._context.check)

    def flavor(self, server: Values) -> placement.Choice:
        """Choose the flavor of a described server."""
        parameters = self._context.parameters
        requested = (
            parameters.get("flavor")
            or parameters.get("restore_flavor_id")
            or self._context.mapping.get(f"OS::Nova::Flavor#{server['flavor']['id']}")
        )

        def offered() -> list[dict[str, Any]]:
            with translated("the flavors"):
                listed = [each.to_dict() for each in self._context.clients.nova().flavors.list()]
            return [{**each, "ephemeral": each.get("OS-FLV-EXT-DATA:ephemeral")} for each in listed]

        return placement.flavor(
            server["flavor"],
            self._call(offered),
            requested,
            strict=self.is_strict,
            boots_from_volume=not server["image"],
        )

    def zone(self, server: Values) -> placement.Choice:
        """Choose the availability zone of a described server."""
        requested = self._context.parameters.get("availability_zone")
        if not requested and not server["zone"]["pinned"]:
            return placement.Choice(None)

        def offered() -> list[str]:
            try:
                with translated("the availability zones of Nova"):
                    listed = self._context.clients.nova().availability_zones.list(detailed=False)
            except (exception.NotFound, exception.NotAuthorized):
                return [requested or server["zone"]["pinned"]]  # Nova itself refuses a wrong one
            return [each.zoneName for each in listed if each.zoneState.get("available")]

        return placement.zone(server["zone"]["pinned"], self._call(offered), requested, strict=self.is_strict)

    @property
    def is_strict(self) -> bool:
        """Whether differences from the original are conflicts."""
        return planning.is_strict(self._context)

    def has_key_pair(self, name: str) -> bool:
        """Return whether the user has a key pair of that name."""

        def find() -> bool:
            try:
                reading.find_key_pair(reading.newest(self._context.clients), name)
            except exception.NotFound:
                return False
            return True

        return bool(self._call(find))

    def free_volume(self, volume_id: str) -> str | None:
        """Return the id of a volume of the project that no server uses, or None."""
        try:
            volume = self._call(lambda: Volumes(self._context.clients).get(volume_id))
        except exception.ResourceNotFound:
            return None
        owner = getattr(volume, "os-vol-tenant-attr:tenant_id", self._context.clients.project_id)
        return volume_id if volume.status == "available" and owner == self._context.clients.project_id else None

    def port(self, port_id: str) -> dict[str, Any] | None:
        """Return a port of the project, or None."""
        return next(iter(self._list("ports", id=port_id, project_id=self._context.clients.project_id)), None)

    def is_held(self, port: Values) -> bool:
        """Return whether a server has a port."""
        return bool(port.get("device_id"))

    def taken_address(self, network_id: str, addresses: Sequence[str]) -> str | None:
        """Return the first of some addresses and MAC addresses that a port in a network has, except those of this restore."""
        ours = f"karbor-like-{self._context.operation_id}"
        taken = {
            address
            for port in self._list("ports", network_id=network_id)
            if not str(port.get("description") or "").startswith(ours)
            for address in (port.get("mac_address"), *(each.get("ip_address") for each in port.get("fixed_ips") or ()))
        }
        return next((address for address in addresses if address in taken), None)

    def existing(self, kind: str, ids: Iterable[str]) -> set[str]:
        """Return those of some ids of networks, subnets, security groups or QoS policies that exist for the tenant."""
        wanted, found = sorted(set(ids)), set[str]()
        for start in range(0, len(wanted), _IDS):
            try:
                some = self._list(_COLLECTIONS[kind], id=wanted[start : start + _IDS], fields=["id"])
            except exception.NotFound:
                return set()  # a cloud without that extension
            found.update(str(each["id"]) for each in some)
        return found

    def default_group(self) -> str | None:
        """Return the id of the project's default security group."""
        own = self._list("security-groups", name=DEFAULT_GROUP, project_id=self._context.clients.project_id)
        return next((str(each["id"]) for each in own), None)

    def _list(self, collection: str, **filters: Any) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            with translated(f"the {collection} of the project"):
                return self._context.clients.neutron().list(collection, **filters)

        return list(self._call(read))

    def server_group(self, described: Values) -> str | None:
        """Return the id of the original server group, or of one of the same name and policy without members.

        A copy does not join the group of an original that still exists: it may have no host left.
        """

        def find() -> str | None:
            nova = reading.newest(self._context.clients)
            originals = [group for group in reading.server_groups(nova) if group["id"] == described["id"]]
            if originals and self._context.resource.id not in (originals[0].get("members") or ()):
                return str(described["id"])
            return next(iter(deployables.empty_groups(nova, described["name"], described["policy"])), None)

        return self._call(find)


def volume_key(volume_id: str) -> str:
    """Return ``Type#id`` of a volume."""
    return f"{resource.VOLUME}#{volume_id}"
