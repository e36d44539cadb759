"""The plugin for network topologies. The bank holds one document, the description."""

from collections.abc import Mapping
from typing import Any, Final

from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.neutron import description, reading, schema
from karbor_like.plugins.neutron.deployables.types import DEPLOYABLES
from karbor_like.plugins.neutron.restore import DOCUMENT, Restore
from karbor_like.plugins.neutron.restore import SCHEMA as RESTORE_SCHEMA
from karbor_like.plugins.protection import EMPTY_SCHEMA, HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import quotas, states
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Network Protection Options",
    "type": "object",
    "properties": {},
    "required": [],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Network Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}


class Protect(ResourceOperation):
    """Describes everything that the project owns in Neutron. Creates nothing in the cloud."""

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("reading the networks")
        states.require_ours("network topology", context.resource.id, context.resource.id, context.project_id)
        described = context.waiter.call(
            lambda: description.describe(context.project_id, *reading.read(context.clients)), check=context.check
        )
        context.report.step("storing the description")
        context.section.put(DOCUMENT, described.document)
        return {"remarks": [*described.remarks]}


class Verify(ResourceOperation):
    """Checks that the description is complete, and that this release can read it."""

    def main(self, context: HookContext) -> None:
        context.report.step("checking the description")
        schema.checked(context.section.get(DOCUMENT))


class NetworkProtection(ProtectionPlugin):
    """Protects the networks, subnets, routers, ports, security groups, floating IPs and trunks of a project."""

    api_version = 1
    schemas = {resource.NETWORK: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, EMPTY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.DELETE: SectionDelete,
        OperationType.VERIFY: Verify,
        OperationType.COPY: SectionCopy,
    }
    deployables = DEPLOYABLES
    quotas = (quotas.network,)
