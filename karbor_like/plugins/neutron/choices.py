"""What a restore makes of each object of a description. Pure functions.

Own objects are recognized by their ids. Those of others, such as shared and external networks, are recognized by their ids or
by unique names. What still exists is left as it is; what is missing is created, with its connections to what exists.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.plugins.neutron import mapping as mappings
from karbor_like.plugins.neutron.mapping import NETWORK_MAP, PUBLIC
from karbor_like.plugins.neutron.protectable import DEFAULT_GROUP
from karbor_like.plugins.neutron.schema import (
    FLOATING_IP,
    GROUP,
    MEMBERS,
    NET,
    POOL,
    PORT,
    QOS,
    ROUTER,
    SUBNET,
    SUBPORT,
    TRUNK,
    Document,
    Values,
    contained,
    key,
)
from karbor_like.plugins.neutron.target import Target
from karbor_like.plugins.toolkit.names import PREFIX
from karbor_like.plugins.toolkit.planning import STRICT

AUTO: Final = "auto"
COPY: Final = "copy"
REUSE: Final = "reuse"
KEEP_OR_NEW: Final = "keep-or-new"
NEW: Final = "new"
NONE: Final = "none"

#: Own objects that need no further rule, in the order of their dependencies.
_SIMPLE: Final = ("networks", "subnet_pools", "security_groups", "routers")


@dataclass
class Choices:
    """The decisions.

    :param existing: ``Type#id`` -> id in the target, of what is not created
    :param mapped: those in *existing* that are not the originals
    :param skipped: ``Type#id`` of what is neither created nor in the target
    :param plain: ids of ports that get other addresses than they had
    :param held: ids of ports whose originals are in use
    :param controlled: ids of mapped networks that the project owns
    :param associated: ids of existing floating IPs that are free, and that a port which is created had
    :param copy: whether originals must not be touched, so that their MAC addresses are in use
    :param addresses: whether to ask for the original addresses of floating IPs
    :param prefix: what the names of created objects begin with
    :param lines: the plan
    :param remarks: sentences on what is not as it was
    """

    existing: dict[str, str] = field(default_factory=dict)
    mapped: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    controlled: set[str] = field(default_factory=set)
    associated: set[str] = field(default_factory=set)
    copy: bool = False
    addresses: bool = True
    prefix: str = ""
    lines: list[PlannedAction] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def avoids(self, resource_key: str) -> bool:
        """Return whether an object is not created."""
        return resource_key in self.existing or resource_key in self.skipped

    @property
    def conflicts(self) -> list[PlannedAction]:
        """The lines that make the restore impossible."""
        return [line for line in self.lines if line.action is Action.CONFLICT]


def choose(
    document: Document, target: Target, parameters: Mapping[str, Any], mapping: Mapping[str, str], own_key: str
) -> Choices:
    """Decide on every object of a description.

    :param document: as :func:`karbor_like.plugins.neutron.schema.checked` returned it
    :param parameters: of the request
    :param mapping: of the request, by ``Type#id``
    :param own_key: ``Type#id`` of the resource that is restored
    """
    return _Chooser(document, target, parameters).choose(mapping, own_key)


def plan(
    document: Document, target: Target, parameters: Mapping[str, Any], mapping: Mapping[str, str], own_key: str
) -> Choices:
    """Decide like :func:`choose`, before anything is created: with conflicts that can only be seen then."""
    chooser = _Chooser(document, target, parameters)
    chosen = chooser.choose(mapping, own_key)
    chooser.add_obstacles()
    return chosen


class _Chooser:
    def __init__(self, document: Document, target: Target, parameters: Mapping[str, Any]) -> None:
        self._document = document
        self._target = target
        self._parameters = parameters
        self._mode = parameters.get("mode") or AUTO
        self._strict = bool(parameters.get(STRICT))
        self._floating = parameters.get("floating_ips") or KEEP_OR_NEW
        self._own = contained(document)
        self._subnets = {subnet["id"]: subnet for subnet in document["subnets"]}
        self._taken: dict[str, dict[str, str]] = {}
        self._networks_of: dict[str, set[str]] = defaultdict(set)
        interfaces = [each for router in document["routers"] for each in router["interfaces"]]
        for holder in (*document["ports"], *interfaces):
            for fixed in holder["fixed_ips"]:
                self._networks_of[fixed["subnet_id"]].add(holder["network_id"])
        copy = self._mode == COPY
        addresses, prefix = self._floating == KEEP_OR_NEW and not copy, str(parameters.get(PREFIX) or "")
        self._choices = Choices(copy=copy, addresses=addresses, prefix=prefix)

    def choose(self, mapping: Mapping[str, str], own_key: str) -> Choices:
        mapped = mappings.resolve(self._document, self._target, self._parameters, mapping, own_key)
        for resource_key, target_id in mapped.ids.items():
            self._map(resource_key, target_id, "the request maps it")
        for resource_key, reason in mapped.conflicts:
            self._line(Action.CONFLICT, resource_key, reason)
        # What is mapped wrongly has its conflict already.
        self._done = {resource_key for resource_key, _ in mapped.conflicts} | {*mapped.ids}
        self._foreign()
        for member in _SIMPLE:
            for each in self._left(member):
                self._simple(MEMBERS[member], each)
        for subnet in self._left("subnets"):
            self._subnet(subnet)
        trunks = self._reusable_trunks()
        for port in self._left("ports"):
            self._port(port, trunks)
        for trunk in self._left("trunks"):
            self._decide(TRUNK, trunk, reusable=trunk["id"] in trunks)
        for floating in self._left("floating_ips"):
            self._floating_ip(floating)
        for router in self._document["routers"]:
            self._check_interfaces(router)
        self._associations()
        self._narrow_networks()
        return self._choices

    def add_obstacles(self) -> None:
        """Add conflicts with what others have done in the target. What this restore creates would look the same."""
        for router in self._document["routers"]:
            if self._is_created(ROUTER, router["id"]):
                self._check_addresses(router)
        for resource_key in self._choices.mapped:
            if resource_key.startswith(f"{PORT}#"):
                target_id = self._choices.existing[resource_key]
                there = self._target.seen(PORT, target_id) or {}
                if str(there.get("device_owner") or "").startswith("compute:"):
                    reason = f"it is mapped to port {target_id}, which server {there.get('device_id')} has"
                    self._line(Action.CONFLICT, resource_key, reason)

    def _left(self, member: str) -> list[Values]:
        return [each for each in self._document[member] if key(MEMBERS[member], each["id"]) not in self._done]

    def _line(self, action: Action, resource_key: str, reason: str = "") -> None:
        self._choices.lines.append(PlannedAction(action, resource_key, reason))

    def _skip(self, resource_key: str, reason: str) -> None:
        """Leave out what has no counterpart, which a strict restore must not do."""
        self._choices.skipped.add(resource_key)
        if self._strict:
            self._line(Action.CONFLICT, resource_key, f"{reason}: name the one to use in {NETWORK_MAP}, by its id")
        else:
            self._line(Action.SKIP, resource_key, reason)

    def _map(self, resource_key: str, target_id: str, why: str) -> None:
        kind, _, original = resource_key.partition("#")
        self._choices.existing[resource_key] = target_id
        if target_id == original:
            self._line(Action.REUSE, resource_key, "it still exists")
            return
        self._choices.mapped.add(resource_key)
        if kind == NET and self._target.own(NET, target_id):
            self._choices.controlled.add(original)
        self._line(Action.MAP, resource_key, f"{why} to {target_id}")

    def _decide(self, kind: str, each: Values, *, reusable: bool, why: str = "") -> None:
        """Reuse an own object, or create it."""
        resource_key = key(kind, each["id"])
        if reusable:
            self._map(resource_key, each["id"], "")
        elif self._mode == REUSE:
            reason = why or "it no longer exists"
            self._line(Action.CONFLICT, resource_key, f"{reason}, and mode {REUSE!r} creates nothing: use {AUTO!r}")
        else:
            self._line(Action.CREATE, resource_key, why)

    def _is_reused(self, kind: str, resource_id: str) -> bool:
        return self._choices.existing.get(key(kind, resource_id)) == resource_id

    def _is_mapped(self, kind: str, resource_id: str) -> bool:
        return key(kind, resource_id) in self._choices.mapped

    def _is_created(self, kind: str, resource_id: str) -> bool:
        resource_key = key(kind, resource_id)
        return resource_key in self._own and not self._choices.avoids(resource_key)

    # objects of others

    def _foreign(self) -> None:
        outside = mappings.external_networks(self._document)
        for each in self._document["foreign"]:
            kind, original = each["type"], each["id"]
            resource_key = key(kind, original)
            if resource_key in self._done:
                continue
            if self._target.seen(kind, original):
                self._map(resource_key, original, "")
            elif kind == NET:
                self._foreign_network(each, is_external=original in outside)
            elif kind in (QOS, GROUP):
                same = self._target.named(kind, each["name"])
                self._unique(resource_key, each, same, f"name the one to use in {NETWORK_MAP}, by its id {original}")
            elif kind in (SUBNET, POOL):
                self._optional(resource_key, each)
            else:  # a port of a load balancer, for example
                self._skip(resource_key, "it is not in the checkpoint, and does not exist here")

    def _foreign_network(self, each: Values, *, is_external: bool) -> None:
        same = self._target.networks_of_others(each["name"], external=is_external)
        advice = f"name the one to use in {NETWORK_MAP}, by its id {each['id']}"
        if is_external:
            advice += f", or give {PUBLIC}"
        self._unique(key(NET, each["id"]), each, same, advice)

    def _unique(self, resource_key: str, each: Values, same: list[Values], advice: str) -> None:
        if len(same) == 1:
            self._map(resource_key, same[0]["id"], f"its name {each['name']!r} leads")
            return
        known = f", named {each['name']!r}," if each["name"] else ""
        found = f"{len(same)} have its name" if same else "none of its name is visible"
        self._line(Action.CONFLICT, resource_key, f"it{known} belongs to another project, and {found}: {advice}")

    def _optional(self, resource_key: str, each: Values) -> None:
        """Find a subnet or a pool of others, without which there is a way."""
        kind, original = each["type"], each["id"]
        same = self._target.named(kind, each["name"])
        if kind == SUBNET:
            networks = {self._choices.existing.get(key(NET, network)) for network in self._networks_of[original]}
            there = [subnet for network in networks for subnet in self._target.on_network(SUBNET, network)]
            same = [subnet for subnet in there if each["name"] and subnet.get("name") == each["name"]] or there
        if len(same) == 1:
            self._map(resource_key, same[0]["id"], "it corresponds")
        else:
            self._skip(resource_key, "no single one here corresponds to it")

    # own objects

    def _simple(self, kind: str, each: Values) -> None:
        if kind == GROUP and each["name"] == DEFAULT_GROUP:
            default = self._target.default_group()
            if default:
                self._map(key(GROUP, each["id"]), default, "every project has a default group: it is mapped")
            else:
                self._line(Action.CONFLICT, key(GROUP, each["id"]), "the project has no default security group")
            return
        self._decide(kind, each, reusable=self._mode != COPY and self._target.own(kind, each["id"]) is not None)

    def _subnet(self, subnet: Values) -> None:
        resource_key, network = key(SUBNET, subnet["id"]), subnet["network_id"]
        if not self._is_mapped(NET, network):
            present = self._target.own(SUBNET, subnet["id"]) if self._is_reused(NET, network) else None
            self._decide(SUBNET, subnet, reusable=present is not None)
            return
        there = self._target.on_network(SUBNET, self._choices.existing[key(NET, network)])
        same = [each for each in there if each.get("cidr") == subnet["cidr"]]
        same = same or [each for each in there if each.get("ip_version") == subnet["ip_version"]]
        if len(same) == 1:
            self._map(resource_key, same[0]["id"], "its network is mapped, and it")
        else:
            self._skip(resource_key, "its network is mapped, and no single subnet there corresponds to it")

    # ports

    def _reusable_trunks(self) -> set[str]:
        """Return the ids of the trunks that exist with parent ports which can be reused."""
        if self._mode == COPY:
            return set()
        found = set()
        for trunk in self._document["trunks"]:
            parent = self._target.own(PORT, trunk["port_id"])
            if self._target.own(TRUNK, trunk["id"]) and parent and not parent.get("device_id"):
                found.add(trunk["id"])
        return found

    def _port(self, port: Values, trunks: set[str]) -> None:
        network = port["network_id"]
        present = None if self._mode == COPY or self._is_mapped(NET, network) else self._target.own(PORT, port["id"])
        if present is None:
            self._decide(PORT, port, reusable=False)
            self._avoid_taken(port)
            return
        holder = present.get("device_id")
        if not holder or (present.get("device_owner") == SUBPORT and holder in trunks):
            self._decide(PORT, port, reusable=True)
            return
        why = f"the original is in use by {holder}"
        self._decide(PORT, port, reusable=False, why=why)
        self._choices.held.add(port["id"])
        self._give_up_addresses(port, why)

    def _avoid_taken(self, port: Values) -> None:
        """Give up the addresses of a port if another one has them now: its network was in use meanwhile."""
        if not self._is_reused(NET, port["network_id"]):
            return
        holders = self._holders(port["network_id"])
        for address in (port["mac_address"], *(fixed["ip_address"] for fixed in port["fixed_ips"])):
            if address in holders:
                self._give_up_addresses(port, f"port {holders[address]} has {address} now")
                return

    def _holders(self, network_id: str) -> dict[str, str]:
        """Return the ids of the ports of a network by their addresses and MAC addresses."""
        if network_id not in self._taken:
            self._taken[network_id] = {
                address: port["id"]
                for port in self._target.on_network(PORT, network_id)
                for address in (port.get("mac_address"), *(f.get("ip_address") for f in port.get("fixed_ips") or ()))
            }
        return self._taken[network_id]

    def _give_up_addresses(self, port: Values, why: str) -> None:
        self._choices.plain.add(port["id"])
        self._choices.remarks.append(f"{key(PORT, port['id'])}: {why}, so the new port has other addresses")

    # routers and floating IPs

    def _check_interfaces(self, router: Values) -> None:
        if self._mode == REUSE:
            return
        for interface in router["interfaces"]:
            for fixed in interface["fixed_ips"]:
                resource_key = key(SUBNET, fixed["subnet_id"])
                if self._is_created(ROUTER, router["id"]) and resource_key in self._choices.skipped:
                    reason = (
                        f"router {router['id']} is connected to it: name the subnet to use in {NETWORK_MAP}, by its id"
                    )
                    self._line(Action.CONFLICT, resource_key, f"{reason} {fixed['subnet_id']}")

    def _check_addresses(self, router: Values) -> None:
        """Find the addresses of a new router in existing subnets that others have."""
        for interface in router["interfaces"]:
            for fixed in interface["fixed_ips"]:
                subnet_id = self._choices.existing.get(key(SUBNET, fixed["subnet_id"]))
                there = self._target.seen(SUBNET, subnet_id) if subnet_id else None
                original = self._subnets.get(fixed["subnet_id"])
                if there is None or original is None:
                    continue  # in a network of others, the router gets any address
                is_gateway = original["gateway_ip"] == fixed["ip_address"]
                is_mapped = self._is_mapped(SUBNET, fixed["subnet_id"])
                address = there.get("gateway_ip") if is_gateway else None if is_mapped else fixed["ip_address"]
                holder = self._holders(there["network_id"]).get(address) if address else None
                if holder:
                    reason = (
                        f"its interface needs {address} in subnet {subnet_id}, which port {holder} has now: delete that"
                        f" port, or name an existing router to use in {NETWORK_MAP}, by the id {router['id']}"
                    )
                    self._line(Action.CONFLICT, key(ROUTER, router["id"]), reason)

    def _narrow_networks(self) -> None:
        """Remark on mapped networks that take no packets as long as the originals did."""
        for network in self._document["networks"]:
            target_id = self._choices.existing.get(key(NET, network["id"]))
            there = (self._target.seen(NET, target_id) if target_id else None) or {}
            if network["mtu"] and there.get("mtu") and there["mtu"] < network["mtu"]:
                self._choices.remarks.append(
                    f"{key(NET, network['id'])}: the MTU of network {target_id} is {there['mtu']}, and that of the original"
                    f" was {network['mtu']}: guests that do not ask DHCP for it must be changed"
                )

    def _floating_ip(self, floating: Values) -> None:
        resource_key = key(FLOATING_IP, floating["id"])
        if self._floating == NONE:
            self._choices.skipped.add(resource_key)
            self._line(Action.SKIP, resource_key, f"floating_ips is {NONE!r}")
            return
        present = self._target.own(FLOATING_IP, floating["id"]) if self._mode != COPY else None
        network = self._choices.existing.get(key(NET, floating["floating_network_id"]))
        reusable = present is not None and self._floating != NEW and present.get("floating_network_id") == network
        self._decide(FLOATING_IP, floating, reusable=reusable)

    def _associations(self) -> None:
        """Associate what exists with what is created, if it is free."""
        for floating in self._document["floating_ips"]:
            port, floating_id = floating["port_id"], self._choices.existing.get(key(FLOATING_IP, floating["id"]))
            if not port or not floating_id or not self._is_created(PORT, port):
                continue
            present = self._target.own(FLOATING_IP, floating_id) or {}
            holder = present.get("port_id")
            # The port of this operation is not among those of the target.
            if holder is None or self._target.seen(PORT, holder) is None:
                self._choices.associated.add(floating["id"])
            else:
                self._choices.remarks.append(
                    f"{key(FLOATING_IP, floating['id'])}: it remains with port {holder}, and the new port has none"
                )
