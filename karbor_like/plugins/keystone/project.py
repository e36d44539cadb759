"""The plugin for projects. The bank holds one document, the description: quotas and role assignments, and no secrets."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.keystone import description, restore
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import documents, quotas, states
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {**EMPTY_SCHEMA, "title": "Project Protection Options", "required": []}
SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {**EMPTY_SCHEMA, "title": "Project Protection Saved Info", "required": []}


class Protect(ResourceOperation):
    """Describes the project. Creates nothing in the cloud."""

    def main(self, context: HookContext) -> dict[str, Any]:
        states.require_ours("project", context.resource.id, context.resource.id, context.project_id)
        document, remarks = description.describe(context)
        documents.put(context, {"project": document})
        return {"remarks": remarks}


class Verify(ResourceOperation):
    """Checks that this release can read the description."""

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("checking the description")
        missing = restore.read(context) is None
        return {"remarks": ["the checkpoint has no description of the project"] if missing else []}


class ProjectProtection(ProtectionPlugin):
    """Stores the quotas and role assignments of projects."""

    api_version = 1
    schemas = {resource.PROJECT: Schemas(OPTIONS_SCHEMA, restore.SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: restore.Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: SectionDelete,
        OperationType.COPY: SectionCopy,
    }
    quotas = (quotas.volume, quotas.compute, quotas.network, quotas.share)
