"""Security groups and their rules."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.neutron.deployables.base import DIRECT, Connection, Found, NeutronObject

RULES: Final = "security-group-rules"
_MATCH: Final = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max") + (
    "remote_ip_prefix",
    "remote_group_id",
)
#: Beginning of the id of a rule that was there before.
_EXISTING: Final = "existing-"

Values = Mapping[str, Any]


def close(clients: Clients, group_id: str) -> None:
    """Delete the two rules of a new group that let all traffic out. Idempotent.

    Raises the exceptions of :func:`karbor_like.clients.errors.translated`.
    """
    with translated(f"the rules of security group {group_id}"):
        for rule in clients.neutron().list(RULES, security_group_id=group_id, direction="egress"):
            if not any(rule.get(name) for name in _MATCH[2:]):
                _delete(clients, rule)


def _delete(clients: Clients, rule: Values) -> None:
    try:
        with translated(f"rule {rule.get('id')}"):
            clients.neutron().delete(RULES, str(rule.get("id")))
    except exception.ResourceNotFound:
        pass


class SecurityGroup(NeutronObject):
    """``OS::Neutron::SecurityGroup``. ``rules`` has at most one rule, an outgoing one, in place of those that let all traffic
    out. The member ``closed`` of ``direct`` asks for none at all.
    """

    noun = "security group"
    collection = "security-groups"
    quota = "security_group"
    later = NeutronObject.later | {"rules"}
    described_by = ("description",)

    def attributes(self) -> dict[str, Any]:
        stateful = self.direct.get("stateful")
        return super().attributes() | ({} if stateful is None else {"stateful": stateful})

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        cloud_id = super().create(name, markers)
        self._restrict(cloud_id)
        return cloud_id

    def complete(self, cloud_id: str) -> list[str]:
        # The process may have ended directly after the group was created.
        self._restrict(cloud_id)
        return super().complete(cloud_id)

    def _restrict(self, cloud_id: str) -> None:
        rules = self.properties().get("rules") or ()
        if rules or self.direct.get("closed"):
            self._close(cloud_id, rules)

    def _close(self, cloud_id: str, rules: Sequence[Values]) -> None:
        with translated(f"the rules of security group {cloud_id}"):
            present = self.neutron.list(RULES, security_group_id=cloud_id, direction="egress")
        wanted, found = [_match(rule) for rule in rules], [_match(rule) for rule in present]
        for builtin in present:
            if not any(builtin.get(name) for name in _MATCH[2:]) and _match(builtin) not in wanted:
                _delete(self.clients, builtin)
        for rule in rules:
            if _match(rule) not in found:
                with translated(f"creating a rule of security group {cloud_id}"):
                    self.neutron.create(RULES, {**rule, "security_group_id": cloud_id})


class SecurityGroupRule(Connection):
    """``OS::Neutron::SecurityGroupRule``. Rules cannot be changed, so they have no mark: each is unique in its group.

    A rule that the group had before, such as one of the project's default group, is not deleted if the restore fails. If the
    process ends before it records the id of a rule that it created, it does not know this, and the rule remains as well.
    """

    noun = "security group rule"
    collection = RULES
    renamed = {"security_group": "security_group_id", "remote_group": "remote_group_id"}
    later = frozenset({DIRECT})

    _requested = False
    _released = False

    def needs(self) -> Mapping[str, int]:
        # A group that exists may have the rule.
        return {"security_group_rule": 1} if isinstance(self.properties()["security_group"], Mapping) else {}

    def get(self, cloud_id: str) -> Found:
        if cloud_id.startswith(_EXISTING) and self._released:
            raise exception.ResourceNotFound(f"{self.noun} {cloud_id} is not of this operation")
        found = super().get(cloud_id.removeprefix(_EXISTING))
        return Found(cloud_id, found.values)

    def search(self) -> Sequence[str]:
        wanted = self.attributes()
        group = wanted["security_group_id"]
        same = [each.id for each in self.owned(security_group_id=group) if _match(each.values) == _match(wanted)]
        return same if self._requested else [f"{_EXISTING}{cloud_id}" for cloud_id in same]

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        self._requested = True
        try:
            with translated(f"creating a rule for {name}"):
                made = self._found(self.neutron.create(self.collection, self.attributes())).id
        except exception.Conflict:
            self._requested = False
            if found := self.search():
                return found[0]
            raise
        # From now on, a rule that is found may be used by another process, which continues the operation.
        self._requested = False
        return made

    def delete(self, current: Found) -> None:
        if current.id.startswith(_EXISTING):
            self._released = True
        else:
            super().delete(current)


def _match(rule: Values) -> tuple[Any, ...]:
    """Return what makes two rules of a group the same. Neutron writes protocols in small letters."""
    protocol = rule.get("protocol")
    values: Values = {**rule, "protocol": None if protocol in (None, "", "any") else str(protocol).lower()}
    return tuple(values.get(name) for name in _MATCH)
