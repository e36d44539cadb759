"""Common parts of all kinds of objects: attributes, the policy, projects, tags, quotas."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jsonschema

from karbor_like import clock as clocks
from karbor_like.sandbox import state, web
from karbor_like.sandbox.network import quotas as quotas_module
from karbor_like.sandbox.network import refusal

UNSET: Any = object()
"""The default of an attribute that Neutron chooses by itself."""

TEXT = {"type": "string", "maxLength": 255}
BOOLEAN = {"type": "boolean"}
ID = {"type": ["string", "null"], "maxLength": 255}
OBJECTS = {"type": ["array", "null"], "items": {"type": "object"}}
TEXTS = {"type": ["array", "null"], "items": {"type": "string"}}


@dataclass(frozen=True)
class Attribute:
    """An attribute that a request may give.

    :param schema: JSON schema of its values
    :param default: what a new object has if the request does not give it
    :param admin: whether only administrators may give another value than the default, and change it
    :param hidden: whether only administrators see it
    """

    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    default: Any = ""
    post: bool = True
    put: bool = True
    admin: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Common:
    """What all kinds use."""

    store: state.Store
    clock: clocks.Clock
    quotas: quotas_module.Quotas


class Records:
    """The objects of one kind. Every call runs in a transaction of the service."""

    #: Name of one object in requests and quotas.
    kind: ClassVar[str]
    #: Name in messages.
    title: ClassVar[str]
    #: Path of the collection.
    path: ClassVar[str]
    attributes: ClassVar[Mapping[str, Attribute]]

    def __init__(self, common: Common) -> None:
        self._common = common
        self._store = common.store
        self.all_attributes = {"name": Attribute(), "description": Attribute(), **self.attributes}

    # what a kind adds

    def is_visible(self, caller: web.Identity, document: state.Document) -> bool:
        """Return whether a caller may see an object."""
        return caller.may_see(document["project_id"])

    def complete(self, caller: web.Identity, document: state.Document, given: Mapping[str, Any]) -> None:
        """Check a new object, and add what the request does not give."""

    def created(self, document: state.Document) -> None:
        """Create what belongs to a new object."""

    def change(
        self, caller: web.Identity, before: state.Document, document: state.Document, given: Mapping[str, Any]
    ) -> None:
        """Check a changed object, and adapt what depends on it."""

    def check_delete(self, document: state.Document) -> None:
        """Refuse to delete an object that is in use, and delete what belongs to it."""

    def shown(self, document: state.Document) -> dict[str, Any]:
        """Return an object as a response shows it to an administrator."""
        return dict(document)

    # requests

    def visible(self, caller: web.Identity) -> list[state.Document]:
        """List the objects that a caller sees, oldest first."""
        return [each for each in self._store.all(self.kind) if self.is_visible(caller, each)]

    def get(self, caller: web.Identity, key: str) -> state.Document:
        """Return an object.

        :raises ApiError: 404, also if the caller must not see it
        """
        document = self._store.get(self.kind, key)
        if document is None or not self.is_visible(caller, document):
            raise refusal.missing(self.title, key)
        return document

    def own(self, caller: web.Identity, key: str, action: str) -> state.Document:
        """Return an object that the caller may change.

        :raises ApiError: 404; 403 for an object of another project
        """
        document = self.get(caller, key)
        if not caller.may_see(document["project_id"]):
            raise refusal.forbidden(f"{action}_{self.kind}")
        return document

    def create(self, caller: web.Identity, values: Mapping[str, Any]) -> state.Document:
        """Create an object.

        :raises ApiError: 400, 403 and 409 as in Neutron
        """
        given = dict(values)
        project_id = given.pop("tenant_id", None) or caller.project_id
        project_id = given.pop("project_id", None) or project_id
        if project_id != caller.project_id and not caller.is_admin:
            raise refusal.forbidden(f"create_{self.kind}", "tenant_id")
        given = self._checked(caller, given, "create")
        self._common.quotas.require(str(project_id), self.kind)
        return self.insert(caller, str(project_id), given)

    def insert(self, caller: web.Identity, project_id: str, given: Mapping[str, Any]) -> state.Document:
        """Create an object whose attributes and quota need no check. Ports of services have the project ''."""
        defaults = {name: a.default for name, a in self.all_attributes.items() if a.default is not UNSET}
        now = self.now()
        document = {"id": web.new_id(), "project_id": project_id, **defaults, **given, "tags": []}
        document |= {"created_at": now, "updated_at": now, "revision_number": 0}
        self.complete(caller, document, given)
        self._store.put(self.kind, document["id"], document)
        self.created(document)
        return self._store.get(self.kind, document["id"]) or document

    def update(self, caller: web.Identity, key: str, given: Mapping[str, Any]) -> state.Document:
        """Change attributes of an object.

        :raises ApiError: 400, 403, 404 and 409 as in Neutron
        """
        before = self.own(caller, key, "update")
        given = self._checked(caller, given, "update")
        document = {**before, **given}
        self.change(caller, before, document, given)
        return self.put(document)

    def put(self, document: state.Document) -> state.Document:
        """Store a changed object."""
        document["revision_number"] += 1
        document["updated_at"] = self.now()
        self._store.put(self.kind, document["id"], document)
        return document

    def delete(self, caller: web.Identity, key: str) -> None:
        """Delete an object.

        :raises ApiError: 403, 404; 409 if it is in use
        """
        document = self.own(caller, key, "delete")
        self.check_delete(document)
        self._store.delete(self.kind, key)

    def tag(self, caller: web.Identity, key: str, tags: list[str]) -> list[str]:
        """Replace the tags of an object."""
        document = self.own(caller, key, "update")
        document["tags"] = sorted(set(tags))
        return self.put(document)["tags"]

    def to_dict(self, caller: web.Identity, document: state.Document) -> dict[str, Any]:
        """Return an object as a response shows it to a caller."""
        shown = {**self.shown(document), "tenant_id": document["project_id"]}
        if not caller.is_admin:
            for name, attribute in self.all_attributes.items():
                if attribute.hidden:
                    shown.pop(name, None)
        return shown

    def now(self) -> str:
        return self._common.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def objects(self, kind: str, **wanted: Any) -> list[state.Document]:
        """List the objects of any kind and project that have the given attributes."""
        return [each for each in self._store.all(kind) if all(each.get(k) == v for k, v in wanted.items())]

    def _checked(self, caller: web.Identity, given: Mapping[str, Any], action: str) -> dict[str, Any]:
        """Check the attributes of a request, and replace null by an empty list where a list is wanted."""
        unknown = sorted(name for name in given if name not in self.all_attributes)
        if unknown:
            raise refusal.invalid(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
        for name, value in given.items():
            attribute = self.all_attributes[name]
            if not (attribute.post if action == "create" else attribute.put):
                method = "POST" if action == "create" else "PUT"
                raise refusal.invalid(f"Attribute '{name}' not allowed in {method}")
            if not jsonschema.Draft202012Validator(attribute.schema).is_valid(value):
                raise refusal.invalid(f"Invalid input for {name}. Reason: {value!r} is not valid.")
            if attribute.admin and not caller.is_admin and (action == "update" or value != attribute.default):
                raise refusal.forbidden(f"{action}_{self.kind}", name)
        return {
            name: [] if value is None and isinstance(self.all_attributes[name].default, list) else value
            for name, value in given.items()
        }
