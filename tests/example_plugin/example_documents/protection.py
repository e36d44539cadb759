"""The protection plugin for documents."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from example_documents.store import TYPE, Store
from karbor_like import exception
from karbor_like.datapath import device
from karbor_like.datapath.location import BlockDevice
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.protection import (
    EMPTY_SCHEMA,
    MAP_TO,
    MAP_TO_SCHEMA,
    HookContext,
    ProtectionPlugin,
    ResourceOperation,
    Schemas,
)
from karbor_like.plugins.toolkit.copying import SectionCopy

RESTORE_SCHEMA = {"type": "object", "properties": {MAP_TO: MAP_TO_SCHEMA}}


#: Limit of each read, in seconds.
TIMEOUT = 60


class Protect(ResourceOperation):
    """Stores bytes, title and links. Creates nothing outside the bank, so it needs no clean-up."""

    def main(self, context: HookContext) -> None:
        store = Store(context.project_id)
        try:
            description = store.describe(context.resource.id)
        except KeyError:
            raise exception.ResourceNotFound(f"document {context.resource.id} does not exist") from None
        context.report.step("storing the document")
        with device.open_reader(BlockDevice(store.path(context.resource.id)), timeout=TIMEOUT) as source:
            stats = context.section.write_extents(
                "data",
                source,
                bases=context.bases,
                progress=lambda done: context.report.progress(done, source.size),
                check=context.check,
            )
        context.section.put("metadata", description)
        context.report.sizes(logical=stats.logical, new=stats.new, stored=stats.stored)


class Restore(ResourceOperation):
    """Creates a document, or uses the one that the request maps it to."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        existing = Store(context.clients.project_id).ids()
        key, mapped = context.resource.key, context.mapping.get(context.resource.key)
        if mapped is None:
            actions = [PlannedAction(Action.CREATE, key)]
        elif mapped in existing:
            return [PlannedAction(Action.MAP, key, f"document {mapped} is used")]
        else:
            return [PlannedAction(Action.CONFLICT, key, f"document {mapped} does not exist")]
        restored = [context.resource, *context.dependencies]
        for link in self._links(context):
            if link not in restored and link.key not in context.mapping:
                if link.id in existing:
                    actions.append(PlannedAction(Action.REUSE, link.key, "the linked document still exists"))
                else:
                    actions.append(PlannedAction(Action.CONFLICT, link.key, "the linked document is lost; map it"))
        return actions

    def main(self, context: HookContext) -> dict[str, Any]:
        mapped = context.mapping.get(context.resource.key)
        if mapped is not None:
            return {"restored": {context.resource.key: mapped}}
        # The id follows from the operation, so a hook that runs again overwrites the document that it created before.
        entry = context.journal.intend("document", keep=True)
        document_id = str(uuid.uuid5(uuid.NAMESPACE_OID, entry.name))
        context.journal.made("document", document_id)
        context.report.step("writing the document")
        # Dependencies are restored already.
        ids = {**context.restored, **context.mapping}
        links = [ids.get(link.key, link.id) for link in self._links(context)]
        title = context.section.get("metadata")["title"]
        Store(context.clients.project_id).put(document_id, title, links, self._pieces(context))
        return {"restored": {context.resource.key: document_id}}

    def contribute(self, context: HookContext, template: Template) -> None:
        links = [Template.reference(link.key) for link in self._links(context)]
        template.add(context.resource.id, TYPE, {"links": links}, restores=context.resource.key)

    def complete(self, context: HookContext) -> dict[str, Any] | None:
        assert context.template is not None
        total = len(context.template.resources)
        return {"remarks": [f"restored together with {total - 1} other documents"]} if total > 1 else None

    def cleanup(self, context: HookContext) -> None:
        for entry in context.journal.entries():
            Store(context.clients.project_id).delete(str(uuid.uuid5(uuid.NAMESPACE_OID, entry.name)))
            context.journal.gone(entry.role)

    @staticmethod
    def _links(context: HookContext) -> list[Resource]:
        return [Resource(TYPE, link) for link in context.section.get("metadata")["links"]]

    @staticmethod
    def _pieces(context: HookContext) -> Iterator[bytes]:
        done = 0
        with context.section.read("data", check=context.check) as reader:
            for piece in reader:
                yield bytes(piece)
                done += len(piece)
                context.report.progress(done, reader.size)


class Delete(ResourceOperation):
    """Deletes the document's part of the checkpoint."""

    def main(self, context: HookContext) -> None:
        context.section.delete()


class Verify(ResourceOperation):
    """Reads all stored bytes."""

    def main(self, context: HookContext) -> None:
        context.section.get("metadata")
        context.section.verify("data", "full", check=context.check)


class DocumentProtection(ProtectionPlugin):
    """Stores documents completely in the bank."""

    api_version = 1
    schemas = {TYPE: Schemas(EMPTY_SCHEMA, RESTORE_SCHEMA, EMPTY_SCHEMA, EMPTY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.DELETE: Delete,
        OperationType.VERIFY: Verify,
        OperationType.COPY: SectionCopy,
    }
