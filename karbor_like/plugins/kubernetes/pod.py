"""The plugin for pods: the bank holds a description. The plugins for volumes protect the Cinder volumes of a pod."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.kubernetes import description, objects, reading, stored
from karbor_like.plugins.kubernetes.protectable import obstacle
from karbor_like.plugins.kubernetes.restore import Restore
from karbor_like.plugins.kubernetes.stored import ENVIRONMENT
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import documents, schemas, states
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete

# See Schemas for the meaning of "required".
OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Pod Protection Options",
    "type": "object",
    "properties": {},
    "required": [],
}
RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Pod Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(?![\\s\\S])",
            "maxLength": 253,
            "title": "Restore Pod Name",
            "description": "The name of the restored pod. Default: karbor-restored-pod- and a UUID.",
        },
    },
    "required": ["restore_name"],
}
SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Pod Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}
VERIFY_SCHEMA: Final[Mapping[str, Any]] = {"title": "Pod Protection Verify", "type": "object", "properties": {}}

_UNENCRYPTED: Final = (
    "the environment variables of the pod are not in the checkpoint, because the bank is not encrypted"
)


class Protect(ResourceOperation):
    """Stores the description of the pod, and its environment variables if the bank is encrypted."""

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("describing the pod")
        client = objects.require(context.clients.kubernetes())
        pod = context.waiter.call(lambda: reading.find(context.clients, context.resource.id), check=context.check)
        states.require_protectable("pod", pod.name, obstacle(pod))
        mounted = context.waiter.call(lambda: reading.mounted(client, pod), check=context.check)
        described, remarks = description.describe(pod, mounted)
        variables = description.environment(pod)
        wrong = schemas.error(described, description.POD) or schemas.error(variables, description.ENVIRONMENT)
        if wrong:
            raise exception.ResourceNotProtectable(f"pod {pod.name} cannot be protected: {wrong}")
        if variables and context.section.is_encrypted:
            context.section.put(ENVIRONMENT, {"version": documents.VERSION, "containers": variables})
        documents.put(context, {"pod": described})
        return {"remarks": remarks + ([_UNENCRYPTED] if variables and not context.section.is_encrypted else [])}


class Verify(ResourceOperation):
    """Checks that the description can be read from the bank."""

    def main(self, context: HookContext) -> None:
        context.report.step("checking the description")
        stored.pod(context)
        stored.environment(context)


class Copy(SectionCopy):
    """Copies the section, without the environment variables if the other bank is not encrypted."""

    def omitted(self, context: HookContext) -> Collection[str]:
        return () if context.section.is_encrypted else (ENVIRONMENT,)

    def main(self, context: HookContext) -> dict[str, Any] | None:
        super().main(context)
        assert context.source is not None, "only a copy has a source"
        lost = ENVIRONMENT in self.omitted(context) and ENVIRONMENT in context.source.documents()
        return {"remarks": [_UNENCRYPTED]} if lost else None


class PodProtection(ProtectionPlugin):
    """Stores pods so that they can be created again, together with the plugin of their volumes."""

    api_version = 1
    creates = (objects.Pods,)
    schemas = {resource.POD: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, VERIFY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: SectionDelete,
        OperationType.COPY: Copy,
    }
