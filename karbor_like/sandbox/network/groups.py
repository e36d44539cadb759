"""Security groups and their rules."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import refusal
from karbor_like.sandbox.network.records import BOOLEAN, ID, Attribute, Common, Records

PORT = {"type": ["integer", "null"], "minimum": 0, "maximum": 65535}
MATCHED = ("security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max") + (
    "remote_ip_prefix",
    "remote_group_id",
)
"""What makes two rules the same."""


class SecurityGroups(Records):
    """Security groups. Each project has the group ``default``, which cannot be deleted."""

    kind = "security_group"
    title = "Security group"
    path = "security-groups"
    attributes = {"stateful": Attribute(BOOLEAN, True), "shared": Attribute(BOOLEAN, False, admin=True)}

    def __init__(self, common: Common, rules: "SecurityGroupRules") -> None:
        super().__init__(common)
        self._rules = rules

    def default(self, caller: web.Identity, project_id: str) -> state.Document:
        """Return the default group of a project, and create it if necessary."""
        found = self.objects(self.kind, project_id=project_id, name="default")
        values = {"name": "default", "description": "Default security group"}
        return found[0] if found else self.insert(caller, project_id, values)

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        others = self.objects(self.kind, project_id=document["project_id"], name="default")
        if document["name"] == "default" and others:
            raise refusal.conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
        document["is_default"] = document["name"] == "default"

    def created(self, document: state.Document) -> None:
        for ethertype in ("IPv4", "IPv6"):
            self._rules.add(document, "egress", ethertype)
            if document["is_default"]:
                self._rules.add(document, "ingress", ethertype, document["id"])

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        if before["name"] != document["name"] and "default" in (before["name"], document["name"]):
            raise refusal.conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")

    def check_delete(self, document: state.Document) -> None:
        if document["is_default"]:
            raise refusal.conflict(
                "SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default group."
            )
        if any(document["id"] in port["security_groups"] for port in self.objects("port")):
            raise refusal.conflict("SecurityGroupInUse", f"Security Group {document['id']} in use.")
        for rule in self.objects("security_group_rule"):
            if document["id"] in (rule["security_group_id"], rule["remote_group_id"]):
                self._store.delete("security_group_rule", rule["id"])

    def shown(self, document: state.Document) -> dict[str, Any]:
        rules = self.objects("security_group_rule", security_group_id=document["id"])
        return {**document, "security_group_rules": [{**rule, "tenant_id": rule["project_id"]} for rule in rules]}


class SecurityGroupRules(Records):
    """Rules, which cannot be changed."""

    kind = "security_group_rule"
    title = "Security group rule"
    path = "security-group-rules"
    attributes = {
        "security_group_id": Attribute(ID, None, put=False),
        "direction": Attribute({"enum": ["ingress", "egress"]}, None, put=False),
        "ethertype": Attribute({"enum": ["IPv4", "IPv6"]}, "IPv4", put=False),
        "protocol": Attribute({"type": ["string", "integer", "null"]}, None, put=False),
        "port_range_min": Attribute(PORT, None, put=False),
        "port_range_max": Attribute(PORT, None, put=False),
        "remote_ip_prefix": Attribute(ID, None, put=False),
        "remote_group_id": Attribute(ID, None, put=False),
        "remote_address_group_id": Attribute({"type": "null"}, None, put=False),
    }

    def add(self, group: state.Document, direction: str, ethertype: str, remote_group_id: str | None = None) -> None:
        """Add a rule without a check."""
        defaults = {name: attribute.default for name, attribute in self.attributes.items()}
        rule = {"id": web.new_id(), "project_id": group["project_id"], "description": "", **defaults, "tags": []}
        rule |= {"security_group_id": group["id"], "direction": direction, "ethertype": ethertype}
        rule |= {"remote_group_id": remote_group_id, "created_at": self.now(), "updated_at": self.now()}
        self._store.put(self.kind, rule["id"], {**rule, "revision_number": 0})

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        document.pop("name")
        for name in ("security_group_id", "remote_group_id"):
            group = self._store.get("security_group", document[name] or "")
            if (document[name] or name == "security_group_id") and not (group and caller.may_see(group["project_id"])):
                raise refusal.missing("Security group", document[name])
        if document["direction"] is None:
            raise refusal.invalid("Failed to parse request. Required attribute 'direction' not specified")
        self._check_remote(document)
        self._check_ports(document)
        for other in self.objects(self.kind, **{name: document[name] for name in MATCHED}):
            raise refusal.conflict(
                "SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {other['id']}."
            )

    def _check_remote(self, document: state.Document) -> None:
        prefix = document["remote_ip_prefix"]
        if prefix is None:
            return
        if document["remote_group_id"]:
            raise refusal.invalid(
                "Only remote_ip_prefix or remote_group_id may be provided.", "SecurityGroupMultipleRemotesProvided"
            )
        try:
            network = ipaddress.ip_network(prefix, strict=False)
        except ValueError:
            raise refusal.invalid(f"Invalid input for remote_ip_prefix. Reason: '{prefix}' is not a network.") from None
        if f"IPv{network.version}" != document["ethertype"]:
            raise refusal.invalid(
                f"Conflicting value ethertype {document['ethertype']} for CIDR {prefix}.",
                "SecurityGroupRuleParameterConflict",
            )
        document["remote_ip_prefix"] = prefix if "/" in prefix else str(network)

    def _check_ports(self, document: state.Document) -> None:
        document["protocol"] = None if document["protocol"] is None else str(document["protocol"]).lower()
        first, last = document["port_range_min"], document["port_range_max"]
        if document["protocol"] in ("icmp", "1", "ipv6-icmp", "58"):
            return
        if (first is None) != (last is None) or (first is not None and first > last):
            raise refusal.invalid(
                "Invalid range for ports: port_range_min must be <= port_range_max.", "SecurityGroupInvalidPortRange"
            )
        if first is not None and document["protocol"] is None:
            raise refusal.invalid(
                "Must also specify protocol if port range is given.", "SecurityGroupProtocolRequiredWithPorts"
            )
