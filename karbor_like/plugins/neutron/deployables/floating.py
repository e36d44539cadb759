"""Floating IPs, their association with ports, and port forwardings."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.neutron.deployables.base import DIRECT, REFUSALS, Connection, Found, NeutronObject, Values

#: Member of ``direct``: the address to ask for.
ADDRESS: Final = "floating_ip_address"

LOG = logging.getLogger(__name__)


class FloatingIP(NeutronObject):
    """``OS::Neutron::FloatingIP``.

    Only administrators choose the address. The service user creates the floating IP for the project, with nothing but its
    address: what the tenant names besides, the tenant sets.
    """

    noun = "floating IP"
    collection = "floatingips"
    quota = "floatingip"
    renamed = {"floating_network": "floating_network_id"}

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        cloud_id = self._with_address(name)
        if cloud_id is None:
            return super().create(name, markers)
        if association := self._association():
            with translated(f"associating {self.noun} {cloud_id} with port {association['port_id']}"):
                self.neutron.update(self.collection, cloud_id, association)
        return cloud_id

    def _association(self) -> dict[str, Any]:
        wanted = self.attributes()
        names = ("port_id", "fixed_ip_address")
        return {name: wanted[name] for name in names if wanted.get(name)} if wanted.get("port_id") else {}

    def _with_address(self, name: str) -> str | None:
        """Create it with its original address. Return None if that is not wanted, or refused."""
        address, network_id = self.direct.get(ADDRESS), self.attributes()["floating_network_id"]
        if not address or self.service is None:
            return None
        with translated(f"network {network_id}"):
            network = self.neutron.show("networks", network_id)
        if network.get("router:external") is not True:
            return None
        values = {
            "project_id": self.clients.project_id,
            "description": name,
            "floating_network_id": network_id,
            ADDRESS: address,
        }
        try:
            with translated(f"creating {self.noun} {address}"):
                return self._found(self.service.neutron().create(self.collection, values)).id
        except exception.Unavailable:
            raise
        except exception.KarborLikeError as error:  # taken, or the service user is no administrator
            LOG.info("%s is not created with address %s: %s", name, address, error)
            return None

    def complete(self, cloud_id: str) -> list[str]:
        remarks = super().complete(cloud_id)
        current = self.get(cloud_id).values
        wanted, found = self.direct.get(ADDRESS), current.get(ADDRESS)
        if wanted and wanted != found:
            remarks.append(f"{self.noun} {cloud_id}: its address was {wanted}, and it has {found} now")
        # The process may have ended directly after the service user created it.
        policy, association = self.attributes().get("qos_policy_id"), self._association()
        if policy and current.get("qos_policy_id") != policy:
            remarks += self.update(cloud_id, {"qos_policy_id": policy})
        if association and current.get("port_id") != association["port_id"]:
            remarks += self.update(cloud_id, association)
        return remarks


class FloatingIPAssociation(Connection):
    """``OS::Neutron::FloatingIPAssociation``, of a free floating IP. Its id is both ids with a slash. It needs no mark."""

    noun = "association of floating IP"
    collection = "floatingips"

    def get(self, cloud_id: str) -> Found:
        floating_id, _, port_id = cloud_id.partition("/")
        found = super().get(floating_id)
        if found.values.get("port_id") != port_id:
            raise exception.ResourceNotFound(f"floating IP {floating_id} is not associated with port {port_id}")
        return Found(cloud_id, found.values)

    def search(self) -> Sequence[str]:
        wanted = self.attributes()
        floating = super().get(wanted["floatingip_id"])
        return [_both(wanted)] if floating.values.get("port_id") == wanted["port_id"] else []

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        wanted = self.attributes()
        values = {name: value for name, value in wanted.items() if name != "floatingip_id"}
        with translated(f"associating floating IP {wanted['floatingip_id']} with port {wanted['port_id']}"):
            self.neutron.update(self.collection, wanted["floatingip_id"], values)
        return _both(wanted)

    def delete(self, current: Found) -> None:
        floating_id = current.id.partition("/")[0]
        with translated(f"disassociating floating IP {floating_id}"):
            self.neutron.update(self.collection, floating_id, {"port_id": None})


class FloatingIPPortForward(Connection):
    """``OS::Neutron::FloatingIPPortForward``. A floating IP has one for each protocol and outer port, so it needs no mark.

    Its id is that of the floating IP, a slash and its own: Neutron needs both.
    """

    noun = "port forwarding"
    renamed = {"internal_port": "internal_port_id", "internal_port_number": "internal_port"}
    later = frozenset({DIRECT, "floating_ip"})

    def get(self, cloud_id: str) -> Found:
        floating_id, _, key = cloud_id.partition("/")
        with translated(f"{self.noun} {cloud_id}"):
            found = self._found(self.neutron.show(_of(floating_id), key))
        return Found(cloud_id, found.values)

    def search(self) -> Sequence[str]:
        wanted, floating_id = self.attributes(), self.properties()["floating_ip"]
        with translated(f"the port forwardings of floating IP {floating_id}"):
            listed = self.neutron.list(_of(floating_id))
        same = ("external_port", "protocol", "internal_port_id")
        return [f"{floating_id}/{each['id']}" for each in listed if all(each.get(n) == wanted[n] for n in same)]

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        floating_id = self.properties()["floating_ip"]
        with translated(f"creating {self.noun} of floating IP {floating_id}"):
            made = self._found(self.neutron.create(_of(floating_id), self.attributes()))
        return f"{floating_id}/{made.id}"

    def delete(self, current: Found) -> None:
        floating_id, _, key = current.id.partition("/")
        with translated(f"deleting {self.noun} {current.id}"):
            self.neutron.delete(_of(floating_id), key)

    def complete(self, cloud_id: str) -> list[str]:
        description = self.direct.get("description")
        if not description:
            return []
        floating_id, _, key = cloud_id.partition("/")
        try:
            with translated(f"{self.noun} {cloud_id}"):
                self.neutron.update(_of(floating_id), key, {"description": description})
        except REFUSALS as error:
            return [f"description could not be restored: {exception.public_text(error)}"]
        return []


def _both(association: Values) -> str:
    return f"{association['floatingip_id']}/{association['port_id']}"


def _of(floating_id: Any) -> str:
    return f"floatingips/{floating_id}/port_forwardings"
