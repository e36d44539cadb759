"""What all types of Neutron have in common: names are regular, and objects are usable as soon as they exist."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.neutron import Neutron
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.objects import Mark
from karbor_like.plugins.toolkit import ownership

LOG = logging.getLogger(__name__)

Values = Mapping[str, Any]

#: Member of the properties with what Heat cannot express.
DIRECT: Final = "direct"
#: Member of the properties with attributes of Neutron, under their names there.
SPECS: Final = "value_specs"

_READY: Final = "ready"
_FAILED: Final = "failed"
#: What Neutron answers to a detail that it does not accept.
REFUSALS: Final = (exception.ResourceFailed, exception.NotAuthorized, exception.Conflict, exception.Unsupported)


@dataclass(frozen=True)
class Found:
    """An object in Neutron."""

    id: str
    values: Values
    status: str = _READY


class NeutronObject(Deployable):
    """A resource that is one object of a collection, which the project owns.

    Its description is the journal's name until :meth:`complete`.
    """

    collection: ClassVar[str]
    #: The quota that an object uses up, or None.
    quota: ClassVar[str | None] = None
    ready = _READY
    deletable = None
    #: Properties -> attributes of Neutron, where they have another name.
    renamed: ClassVar[Mapping[str, str]] = {}
    #: Properties that are no attributes of a request that creates.
    later: ClassVar[frozenset[str]] = frozenset({"description", "tags", DIRECT, SPECS})
    described_by: ClassVar[Sequence[str]] = (SPECS, "description")
    #: Members of :attr:`direct` that are set when everything is created, unless Neutron refuses them.
    optional: ClassVar[Sequence[str]] = ()

    def needs(self) -> Mapping[str, int]:
        return {self.quota: 1} if self.quota else {}

    @property
    def neutron(self) -> Neutron:
        """The client that acts as the tenant."""
        return self.clients.neutron()

    @property
    def direct(self) -> Values:
        """What of the properties Heat cannot express."""
        return self.properties().get(DIRECT) or {}

    def attributes(self) -> dict[str, Any]:
        """Return the attributes to create the object with. Name and description are added."""
        properties = self.properties()
        given = {self.renamed.get(name, name): value for name, value in properties.items() if name not in self.later}
        specs = {name: value for name, value in (properties.get(SPECS) or {}).items() if name not in self.later}
        return {**given, **specs}

    def details(self) -> tuple[str, list[str] | None]:
        """Return the final description, and the tags if there are any."""
        properties, direct = self.properties(), self.direct
        specs = properties.get(SPECS) or {}
        texts = (direct.get("description"), properties.get("description"), specs.get("description"))
        return next(filter(None, texts), ""), direct.get("tags") or properties.get("tags")

    def get(self, cloud_id: str) -> Found:
        with translated(f"{self.noun} {cloud_id}"):
            return self._found(self.neutron.show(self.collection, cloud_id))

    def find(self, name: str) -> Sequence[str]:
        return [each.id for each in self.owned(description=name) if each.values.get("description") == name]

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        with translated(f"creating {self.noun} {name}"):
            made = self.neutron.create(self.collection, {**self.attributes(), "description": name})
        return self._found(made).id

    def delete(self, current: Found) -> None:
        with translated(f"deleting {self.noun} {current.id}"):
            self.neutron.delete(self.collection, current.id)

    def failure(self, current: Found) -> str | None:
        return "Neutron put it into state 'ERROR'" if current.status == _FAILED else None

    def scan(self) -> Iterable[Found]:
        return self.owned()

    def mark(self, current: Found) -> Mark | None:
        description = current.values.get("description")
        return ownership.mark(current.id, description, {}, current.values.get("created_at"))

    def describe(self, cloud_id: str) -> list[str]:
        return self.update(cloud_id, {"description": self.details()[0]})

    def complete(self, cloud_id: str) -> list[str]:
        remarks, tags = self.describe(cloud_id), self.details()[1]
        if tags:
            try:
                with translated(f"the tags of {self.noun} {cloud_id}"):
                    self.neutron.call(self.collection, cloud_id, "tags", {"tags": list(tags)})
            except REFUSALS as error:
                remarks.append(f"the tags could not be restored: {exception.public_text(error)}")
        for name in self.optional:
            if value := self.direct.get(name):
                remarks += self.update(cloud_id, {name: value})
        return remarks

    def update(self, cloud_id: str, values: Values) -> list[str]:
        """Set attributes. Return a remark if Neutron refuses them."""
        try:
            with translated(f"{self.noun} {cloud_id}"):
                self.neutron.update(self.collection, cloud_id, values)
        except REFUSALS as error:
            return [f"{', '.join(values)} could not be restored: {exception.public_text(error)}"]
        return []

    def owned(self, **filters: Any) -> list[Found]:
        """Return the project's objects that match the filters: administrators see those of all projects."""
        with translated(f"the {self.collection} of project {self.clients.project_id}"):
            listed = self.neutron.list(self.collection, project_id=self.clients.project_id, **filters)
        return [self._found(each) for each in listed]

    @staticmethod
    def _found(values: Values) -> Found:
        cloud_id, state = values.get("id"), values.get("status")
        if not isinstance(cloud_id, str):
            raise exception.Unavailable("Neutron's response cannot be understood: an object has no id")
        known = {"ERROR": _FAILED, "ALLOCATING": "allocating"}
        return Found(cloud_id, values, known.get(str(state), _READY))


class Connection(NeutronObject):
    """A resource that is a part of other objects, or connects them. It has no mark: those that it connects tell it."""

    described_by = ()

    def find(self, name: str) -> Sequence[str]:
        # A deletion asks as well. Then the properties, or what is connected, may be lost, and the connection with them.
        try:
            return self.search()
        except (exception.LeaseLost, exception.Cancelled, exception.Unavailable):
            raise
        except (exception.KarborLikeError, LookupError) as error:
            LOG.info("%s %s cannot be looked for: %s", self.noun, name, error)
            return []

    def scan(self) -> Iterable[Found]:
        return ()

    @abstractmethod
    def search(self) -> Sequence[str]:
        """Return the ids of the connection, without its name. May raise anything if it cannot exist."""

    def complete(self, cloud_id: str) -> list[str]:
        return []


def with_ids(name: str, value: Any, target: str) -> Any:
    """Return a list of objects with the member *name* of each renamed to *target*."""
    return [{target if key == name else key: item for key, item in each.items()} for each in value or ()]
