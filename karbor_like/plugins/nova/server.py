"""The plugin for servers: the bank holds their description, and the root disk of those that boot from an image."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder.objects import Snapshots
from karbor_like.plugins.cinder.server_snapshots import Remains
from karbor_like.plugins.glance import data
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.nova import (
    deployables,
    description,
    objects,
    reading,
    restore,
    root_disk,
    stored,
    volume_snapshots,
)
from karbor_like.plugins.nova.contribution import NETWORK_MAP, VOLUME_MAP
from karbor_like.plugins.nova.objects import Pauses, RootDisks
from karbor_like.plugins.nova.stored import USER_DATA
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, Schemas
from karbor_like.plugins.protection import ResourceOperation as Operation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, names, planning, quotas, states, transfer
from karbor_like.plugins.toolkit.copying import SectionCopy
from karbor_like.plugins.toolkit.deletion import SectionDelete
from karbor_like.plugins.toolkit.transfer import TransferTimeout

#: Role of the pause during a protect.
PAUSE: Final = "pause"

#: The member of a server that shows its user data to administrators.
_USER_DATA: Final = "OS-EXT-SRV-ATTR:user_data"

#: States in which Nova copies the root disk.
_COPYABLE: Final = frozenset({"ACTIVE", "PAUSED", "SHUTOFF", "SUSPENDED"})
#: States in which a server has its volumes, its ports and a description.
_PROTECTABLE: Final = _COPYABLE | {"SHELVED", "SHELVED_OFFLOADED"}

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Server Protection Options",
    "type": "object",
    "properties": {
        "consistency": {
            "type": "string",
            "title": "Consistency",
            "description": (
                "none: the disks of the server are copied one after another while it runs; pause: the server is paused until"
                " all its volumes are snapshotted and Nova has an image of its root disk; nova-snapshot: Nova snapshots all"
                " volumes of a server that boots from one in one request, and asks the guest to write everything before if it"
                " has an agent."
            ),
            "enum": ["none", "pause", "nova-snapshot"],
            "default": "none",
        },
    },
    "required": [],
}

_MAP_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}
_MAP: Final = {
    "type": "object",
    "maxProperties": 1000,
    "propertyNames": _MAP_ID,
    "additionalProperties": _MAP_ID,
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Server Protection Restore",
    "type": "object",
    "properties": {
        "restore_name": {
            **names.NAME,
            "title": "Restore Server Name",
            "description": "The name of the restored server. Default: that of the original.",
        },
        "restore_net_id": {
            "type": "string",
            "maxLength": 255,
            "title": "Restore Network ID",
            "description": "The network of the only interface of the restored server, instead of its original interfaces.",
        },
        "restore_flavor_id": {
            "type": "string",
            "maxLength": 255,
            "title": "Restore Flavor ID",
            "description": "The flavor of the restored server.",
        },
        "flavor": {
            **names.NAME,
            "title": "Flavor",
            "description": "The name or the ID of the flavor of the restored server.",
        },
        "availability_zone": {
            **names.NAME,
            "title": "Availability Zone",
            "description": "The availability zone of the restored server. Default: the one that the original was pinned to.",
        },
        "key_name": {
            **names.NAME,
            "title": "Key Pair Name",
            "description": "An existing key pair for the restored server, instead of the original one.",
        },
        "power": {
            "type": "string",
            "title": "Power",
            "description": "as-was: a server that was stopped, paused or suspended becomes so again; on: it runs.",
            "enum": ["as-was", "on"],
            "default": "as-was",
        },
        "user_data": {
            "type": "string",
            "title": "User Data",
            "description": "keep: the restored server gets the user data of the original; drop: it gets none.",
            "enum": ["keep", "drop"],
            "default": "keep",
        },
        "fixed_ips": {
            "type": "string",
            "title": "Fixed IPs",
            "description": (
                "keep: restored ports have the original addresses; keep-or-new: new ones where the original ones are in use;"
                " new: new ones."
            ),
            "enum": ["keep", "keep-or-new", "new"],
            "default": "keep",
        },
        NETWORK_MAP: {
            **_MAP,
            "title": "Network Map",
            "description": (
                "Existing networks and security groups to use if the checkpoint does not contain the networks: id in the"
                " checkpoint, and id of the one to use."
            ),
        },
        VOLUME_MAP: {
            **_MAP,
            "title": "Volume Map",
            "description": "Existing volumes to use: id in the checkpoint, and id of the one to use.",
        },
        **names.PREFIX_PROPERTIES,
        **planning.STRICT_PROPERTIES,
    },
    "required": ["restore_name"],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Server Protection Saved Info",
    "type": "object",
    "properties": {
        "attach_metadata": {
            "type": "object",
            "title": "Attached Volume Metadata",
            "description": "The devices of the attached volumes.",
        },
        "snapshot_metadata": {
            "type": "object",
            "title": "Snapshot Metadata",
            "description": "The description of the server.",
        },
    },
    "required": [],
}


class Protect(Operation):
    """Describes the server, and stores its root disk. The volumes are resources of their own."""

    plugin: "ServerProtection"

    def prepare_begin(self, context: HookContext) -> None:
        server = _protectable(context)
        consistency = context.parameters.get("consistency")
        if consistency == "nova-snapshot" and not server.image:
            volume_snapshots.take(context)
        if consistency != "pause":
            return
        if context.journal.peek(PAUSE) is None:
            server = objects.wait_until_idle(context, server.id)
            if server.status != "ACTIVE":
                return  # it does not write to its disks
        context.report.step("pausing the server")
        pauses = Pauses(context.clients, server.id)

        def pause(name: str, markers: Mapping[str, str]) -> str:
            with translated(f"pausing server {server.id}"):
                context.clients.nova().servers.pause(server.id)
            return str(server.id)

        try:
            pause_id = cloud_objects.ensure(context, pauses, PAUSE, pause)
        except exception.Conflict as error:
            if not _is_locked(context):
                raise exception.ResourceNotProtectable(error.message) from error
            context.journal.gone(PAUSE)
            return
        cloud_objects.wait(context, pauses, pause_id)

    def prepare_finish(self, context: HookContext) -> None:
        server = _protectable(context)
        if server.image:
            root_disk.request(context)
        if context.journal.peek(PAUSE):
            context.report.step("unpausing the server")
            cleanup.remove(context, Pauses(context.clients, server.id), PAUSE)

    def main(self, context: HookContext) -> dict[str, Any]:
        context.report.step("describing the server")
        server_id = context.resource.id
        answers, admin = context.waiter.call(
            lambda: reading.read(context.clients, server_id, context.service), check=context.check
        )
        described = description.describe(context.project_id, answers)
        document: dict[str, Any] = {"server": described.server, "ports": described.ports}
        remarks = [*described.remarks, *_keep_user_data(context, admin), *_local_disks(described.server)]
        if described.server["locked"] and context.parameters.get("consistency") == "pause":
            remarks.append("the server was not paused, because it is locked")
        if described.server["image"]:
            timeout = self.plugin.timeout(context, described.server["flavor"]["disk"] * 1024**3)
            document.update(root_disk.store(context, timeout))
        documents.put(context, document)
        return {"remarks": [*remarks, *self.release(context)]}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, self._roles(context))

    def release(self, context: HookContext) -> list[str]:
        return cleanup.release(context, self._roles(context))

    @staticmethod
    def _roles(context: HookContext) -> Mapping[str, CloudObjects]:
        return {
            PAUSE: Pauses(context.clients, context.resource.id),
            root_disk.SNAPSHOT: RootDisks(context.clients, context.resource.id),
            volume_snapshots.SNAPSHOTS: Remains(context.clients),
        }


class Verify(Operation):
    """Checks the description, and the bytes of the root disk if the section has any."""

    def main(self, context: HookContext) -> dict[str, Any] | None:
        document = stored.find_document(context)
        if document is None:
            return {"remarks": [stored.NOT_DESCRIBED]}
        if USER_DATA in context.section.documents():
            context.section.get(USER_DATA)
        if "image" in document:
            data.Verify(self.plugin).main(context)
        return None


class Copy(SectionCopy):
    """Copies the section, without the user data if the other bank is not encrypted."""

    def omitted(self, context: HookContext) -> Collection[str]:
        return () if context.section.is_encrypted else (USER_DATA,)

    def main(self, context: HookContext) -> dict[str, Any] | None:
        super().main(context)
        assert context.source is not None, "only a copy has a source"
        if USER_DATA in self.omitted(context) and USER_DATA in context.source.documents():
            return {"remarks": [_UNENCRYPTED]}
        return None


class ServerProtection(TransferTimeout, ProtectionPlugin):
    """Stores servers so that they can be created again, together with the plugins of their volumes and networks."""

    api_version = 1
    group = "nova_backup_protection_plugin"
    options = (transfer.seconds_per_gib("Nova copies of the root disk of a server"),)
    schemas = {resource.SERVER: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: restore.Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: SectionDelete,
        OperationType.COPY: Copy,
    }
    creates = (Images, Snapshots)  # Nova makes both
    deployables = deployables.DEPLOYABLES
    quotas = (quotas.compute, quotas.network)


_UNENCRYPTED: Final = "the user data of the server is not in the checkpoint, because the bank is not encrypted"


def _protectable(context: HookContext) -> Any:
    """Return the server. Raises ResourceNotFound, or ResourceNotProtectable because of its state."""
    server = context.waiter.call(
        lambda: objects.fetch_server(context.clients, context.resource.id), check=context.check
    )
    states.require_ours("server", server.id, server.tenant_id, context.project_id)
    allowed = _COPYABLE if server.image else _PROTECTABLE
    reason = states.obstacle(server, allowed)
    if reason and server.image and server.status in _PROTECTABLE:
        reason += ", in which Nova does not copy its root disk: unshelve it"
    states.require_protectable("server", server.id, reason)
    return server


def _is_locked(context: HookContext) -> bool:
    def get() -> bool:
        with translated(f"server {context.resource.id}"):
            return bool(getattr(reading.newest(context.clients).servers.get(context.resource.id), "locked", False))

    return context.waiter.call(get, check=context.check)


def _keep_user_data(context: HookContext, admin: Mapping[str, Any]) -> list[str]:
    """Store the user data if the bank is encrypted. Return a remark if it is not in the checkpoint."""
    if _USER_DATA not in admin:
        return [
            "the user data of the server, if it has any, is not in the checkpoint, because Nova does not show it to the"
            " service user"
        ]
    if not admin[_USER_DATA]:
        return []
    if not context.section.is_encrypted:
        return [_UNENCRYPTED]
    stored.put_user_data(context, admin[_USER_DATA])
    return []


def _local_disks(server: Mapping[str, Any]) -> list[str]:
    disks = {"ephemeral": server["flavor"]["ephemeral"], "swap": server["flavor"]["swap"]}
    found = [name for name, size in disks.items() if size]
    return [f"the content of its {' and '.join(found)} disks is not in the checkpoint"] if found else []
