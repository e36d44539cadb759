"""The protectable plugin for documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from example_documents.store import TYPE, Store
from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import PROJECT, Resource
from karbor_like.plugins.protectable import ProtectablePlugin


class DocumentProtectable(ProtectablePlugin):
    """Lists documents. Their parent is their project; a document depends on those that it links to."""

    api_version = 1
    resource_type = TYPE
    parent_types = frozenset({PROJECT})

    def list(self, clients: Clients, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        store = Store(clients.project_id)
        return [_resource(store, document_id) for document_id in store.ids()]

    def show(self, clients: Clients, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        try:
            return _resource(Store(clients.project_id), resource_id)
        except KeyError:
            raise exception.ResourceNotFound(f"document {resource_id!r} does not exist") from None

    def children(self, clients: Clients, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        return {parent: self.list(clients) for parent in parents if parent.id == clients.project_id}

    def dependencies(self, clients: Clients, resources: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        store = Store(clients.project_id)
        return {
            document: [Resource(TYPE, link) for link in store.describe(document.id)["links"]] for document in resources
        }


def _resource(store: Store, document_id: str) -> Resource:
    return Resource(TYPE, document_id, store.describe(document_id)["title"])
