"""What all contributions to a template have in common. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.domain.template import Template
from karbor_like.plugins.neutron.choices import Choices
from karbor_like.plugins.neutron.deployables.base import DIRECT, SPECS
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES
from karbor_like.plugins.neutron.schema import NET, POOL, PORT, ROUTER, SUBNET, Document, contained, key
from karbor_like.plugins.toolkit import names

Values = Mapping[str, Any]


class Contribution:
    """What one description adds to a template.

    :param remarks: of what it cannot restore
    """

    def __init__(self, document: Document, template: Template, choices: Choices) -> None:
        self.document = document
        self.template = template
        self.choices = choices
        self.own = contained(document)
        self.ports = {port["id"]: port for port in document["ports"]}
        self.networks = {network["id"]: network for network in document["networks"]}
        self.subnets = {subnet["id"]: subnet for subnet in document["subnets"]}
        self.interfaces: list[str] = []
        self.remarks: list[str] = []

    def created(self, kind: str, member: str) -> list[Values]:
        """Return the objects of a member of the document that are created."""
        return [each for each in self.document[member] if self.is_created(kind, each["id"])]

    def is_created(self, kind: str, resource_id: str | None) -> bool:
        """Return whether an object is one of the document, and is created."""
        resource_key = key(kind, str(resource_id))
        return resource_key in self.own and not self.choices.avoids(resource_key)

    def is_there(self, kind: str, resource_id: str | None) -> bool:
        """Return whether the target has an object, or gets it."""
        return self.is_created(kind, resource_id) or key(kind, str(resource_id)) in self.choices.existing

    def keeps_addresses(self, port: Values) -> bool:
        """Return whether a port that is created gets the addresses that it had."""
        network = key(NET, port["network_id"])
        return network in self.own and network not in self.choices.mapped and port["id"] not in self.choices.plain

    def put(
        self,
        kind: str,
        each: Values,
        properties: Values,
        *,
        specs: Values | None = None,
        after: Sequence[str] = (),
        **direct: Any,
    ) -> None:
        """Add a resource that restores an object.

        :param properties: None is left out
        :param specs: values of Neutron that Heat has no property for; None and empty ones are left out
        :param direct: what Heat cannot express; None and empty ones are left out
        """
        name = names.prefixed({names.PREFIX: self.choices.prefix}, each.get("name"))
        given = {**({"name": name} if "name" in each else {}), **properties, SPECS: specs or {}, DIRECT: direct}
        (given if kind in _TAGGED else direct)["tags"] = each["tags"] or None
        deployable, description = DEPLOYABLES[kind], each["description"] or None
        if not deployable.described_by:
            direct["description"] = description
        given = deployable.described(given, description)
        for part in (SPECS, DIRECT):
            given[part] = {name: value for name, value in given[part].items() if value not in (None, [], "")} or None
        given = {name: value for name, value in given.items() if value is not None}
        self.template.add(_name(kind, each["id"]), kind, given, restores=key(kind, each["id"]), after=after)


#: Types whose tags are a property in Heat.
_TAGGED: Final = frozenset({NET, SUBNET, POOL, PORT, ROUTER})


def _name(kind: str, resource_id: str) -> str:
    return f"{kind.rpartition('::')[2].lower()}_{resource_id}"


def ref(kind: str, resource_id: str | None) -> dict[str, str] | None:
    """Return a property value that stands for an object, or None without an id."""
    return Template.reference(key(kind, resource_id)) if resource_id else None


def picked(each: Values, *members: str) -> dict[str, Any]:
    """Return some members of an object."""
    return {name: each[name] for name in members}
