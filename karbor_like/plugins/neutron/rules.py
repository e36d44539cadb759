"""The rules of security groups. Pure functions.

Rules are resources of their own, because groups may refer to each other. The property ``rules`` of a group has at most one
rule, in whose presence Heat removes the two rules by which every new group lets all traffic out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.plugins.neutron.protectable import DEFAULT_GROUP
from karbor_like.plugins.neutron.schema import Document

Values = Mapping[str, Any]

_MATCH: Final = ("protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id")


def closed_groups(document: Document) -> list[str]:
    """Return the ids of the groups that let nothing out, or only to other groups.

    No template can describe this: after a group is created, the two rules that let all traffic out must be deleted.
    """
    return [group["id"] for group in document["security_groups"] if is_closed(group)]


def is_closed(group: Values) -> bool:
    """Return whether a group lets nothing out, or only to other groups."""
    return not is_default(group) and not is_open(group) and first_egress(group) is None


def is_default(group: Values) -> bool:
    """Return whether a group is the one that every project has."""
    return group["name"] == DEFAULT_GROUP


def is_builtin(rule: Values, group: Values) -> bool:
    """Return whether Neutron adds the rule to every new group of that name."""
    remote = group["id"] if rule["direction"] == "ingress" else None
    anything = {**dict.fromkeys(_MATCH), "remote_group_id": remote}
    if rule["direction"] == "ingress" and not is_default(group):
        return False
    # A group without the other one of the two rules is restored rule by rule.
    return _matched(rule) == anything and (is_default(group) or is_open(group))


def is_open(group: Values) -> bool:
    """Return whether a group has the two rules of new groups that let all traffic out."""
    nothing = dict.fromkeys(_MATCH)
    found = {
        rule["ethertype"] for rule in group["rules"] if rule["direction"] == "egress" and _matched(rule) == nothing
    }
    return found == {"IPv4", "IPv6"}


def first_egress(group: Values) -> Values | None:
    """Return the outgoing rule to create together with a group, preferably one without a description, or None."""
    found: Sequence[Values] = [
        rule for rule in group["rules"] if rule["direction"] == "egress" and not rule["remote_group_id"]
    ]
    return min(found, key=lambda rule: bool(rule["description"]), default=None)


def properties(rule: Values) -> dict[str, Any]:
    """Return the properties of a rule without references."""
    names = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    return {name: rule[name] for name in names if rule[name] is not None}


def _matched(rule: Values) -> dict[str, Any]:
    return {name: rule[name] for name in _MATCH}
