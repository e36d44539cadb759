"""Trunks: a parent port and subports with VLANs."""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import ports, refusal
from karbor_like.sandbox.network.records import BOOLEAN, ID, OBJECTS, Attribute, Common, Records

OWNER = "trunk:subport"


class Trunks(Records):
    """Trunks."""

    kind = "trunk"
    title = "Trunk"
    path = "trunks"
    attributes = {
        "port_id": Attribute(ID, None, put=False),
        "sub_ports": Attribute(OBJECTS, [], put=False),
        "admin_state_up": Attribute(BOOLEAN, True),
    }

    def __init__(self, common: Common, port_records: ports.Ports) -> None:
        super().__init__(common)
        self._ports = port_records

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        port = self._ports.get(caller, str(document["port_id"]))
        self._check_free(port["id"])
        wanted, document["sub_ports"] = document["sub_ports"], []
        self._attach(caller, document, wanted or ())

    def _check_free(self, port_id: str) -> None:
        for trunk in self.objects(self.kind):
            if trunk["port_id"] == port_id:
                raise refusal.conflict(
                    "PortInUseAsTrunkParent", f"Port {port_id} is currently a parent port for trunk."
                )
            if any(sub["port_id"] == port_id for sub in trunk["sub_ports"]):
                raise refusal.conflict(
                    "PortInUseAsSubPort", f"Port {port_id} is currently a subport for trunk {trunk['id']}."
                )

    def _attach(self, caller: web.Identity, trunk: state.Document, wanted: Sequence[Mapping[str, Any]]) -> None:
        for sub in wanted:
            if set(sub) != {"port_id", "segmentation_type", "segmentation_id"}:
                raise refusal.invalid(f"Invalid input for sub_ports. Reason: {sub!r} is not valid.")
            port = self._ports.get(caller, str(sub["port_id"]))
            self._check_free(port["id"])
            held = trunk["sub_ports"]
            if port["id"] == trunk["port_id"] or any(port["id"] == other["port_id"] for other in held):
                raise refusal.conflict("PortInUseAsSubPort", f"Port {port['id']} is used twice.")
            if any(sub["segmentation_id"] == other["segmentation_id"] for other in held):
                raise refusal.conflict(
                    "DuplicateSubPort",
                    f"segmentation_id {sub['segmentation_id']} already in use on trunk {trunk['id']}.",
                )
            trunk["sub_ports"] = [*held, dict(sub)]
            self._ports.put({**port, "device_owner": OWNER, "device_id": trunk["id"]})

    def add(self, caller: web.Identity, key: str, values: Mapping[str, Any]) -> state.Document:
        """Add subports.

        :raises ApiError: 404; 409 for a port or VLAN in use
        """
        trunk = self.own(caller, key, "update")
        self._attach(caller, trunk, values.get("sub_ports") or ())
        return self.put(trunk)

    def remove(self, caller: web.Identity, key: str, values: Mapping[str, Any]) -> state.Document:
        """Remove subports.

        :raises ApiError: 404 for a trunk, or a port that is not its subport
        """
        trunk = self.own(caller, key, "update")
        for port_id in [sub.get("port_id") for sub in values.get("sub_ports") or ()]:
            left = [sub for sub in trunk["sub_ports"] if sub["port_id"] != port_id]
            if len(left) == len(trunk["sub_ports"]):
                raise refusal.missing("SubPort", str(port_id))
            trunk["sub_ports"] = left
            self._release(str(port_id))
        return self.put(trunk)

    def _release(self, port_id: str) -> None:
        self._store.change("port", port_id, device_owner="", device_id="")

    def check_delete(self, document: state.Document) -> None:
        for sub in document["sub_ports"]:
            self._release(sub["port_id"])

    def shown(self, document: state.Document) -> dict[str, Any]:
        return {**document, "status": "ACTIVE"}
