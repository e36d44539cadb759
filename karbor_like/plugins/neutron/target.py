"""What a restore finds in Neutron, by id and by name. Pure functions."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from karbor_like.plugins.neutron.description import Answers, is_own
from karbor_like.plugins.neutron.protectable import DEFAULT_GROUP
from karbor_like.plugins.neutron.schema import GROUP, NET, SUBNET, TYPES, Values
from karbor_like.plugins.toolkit import ownership

EXTERNAL: Final = "router:external"


class Target:
    """The objects that the project of the restore owns or sees.

    Objects that operations of this service are creating are not there. Those of this operation must not change what is
    decided when the decision is made again.

    :param answers: of :func:`karbor_like.plugins.neutron.reading.read_objects`
    :param restored: ids of what this operation has restored
    """

    def __init__(self, project_id: str, answers: Answers, restored: Collection[str] = ()) -> None:
        self.project_id = project_id
        self._visible: dict[str, dict[str, Values]] = {
            kind: {each["id"]: each for each in answers.get(collection, ()) if not _is_temporary(each, restored)}
            for collection, kind in TYPES.items()
        }
        self._indexes: dict[tuple[str, str], dict[Any, list[Values]]] = {}

    def seen(self, kind: str, resource_id: str) -> Values | None:
        """Return an object that the project sees, or None."""
        return self._visible[kind].get(resource_id)

    def own(self, kind: str, resource_id: str) -> Values | None:
        """Return an object that the project owns, or None. So are the subnets of its networks that others made."""
        found = self.seen(kind, resource_id)
        if found is None or is_own(found, self.project_id):
            return found
        network = self.seen(NET, str(found.get("network_id"))) if kind == SUBNET else None
        return found if network is not None and is_own(network, self.project_id) else None

    def all(self, kind: str) -> list[Values]:
        """Return the objects that the project sees."""
        return [*self._visible[kind].values()]

    def named(self, kind: str, name: str | None) -> list[Values]:
        """Return the objects of that name that the project sees. None, and the empty text, are no names."""
        return self._by("name", kind).get(name, []) if name else []

    def on_network(self, kind: str, network_id: str | None) -> list[Values]:
        """Return the subnets or ports of a network."""
        return self._by("network_id", kind).get(network_id, [])

    def _by(self, name: str, kind: str) -> dict[Any, list[Values]]:
        if (name, kind) not in self._indexes:
            index: dict[Any, list[Values]] = {}
            for each in self.all(kind):
                index.setdefault(each.get(name), []).append(each)
            self._indexes[name, kind] = index
        return self._indexes[name, kind]

    def default_group(self) -> str | None:
        """Return the id of the project's default security group, or None."""
        found = [each["id"] for each in self.named(GROUP, DEFAULT_GROUP) if is_own(each, self.project_id)]
        return found[0] if found else None

    def networks_of_others(self, name: str | None, *, external: bool) -> list[Values]:
        """Return the external networks of a name, or those that others share and that are not external."""
        return [
            each
            for each in self.named(NET, name)
            if bool(each.get(EXTERNAL)) == external and (external or not is_own(each, self.project_id))
        ]


def _is_temporary(each: Mapping[str, Any], restored: Collection[str]) -> bool:
    return each.get("id") in restored or any(
        ownership.operation_of(each.get(text), {}) for text in ("name", "description")
    )
