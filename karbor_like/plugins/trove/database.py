"""The plugin for database instances: the data is a backup in Trove, the bank holds the description of the instance."""

from typing import Any, ClassVar, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.protection import HookContext, ProtectionPlugin, ResourceOperation, Schemas
from karbor_like.plugins.toolkit import cleanup, cloud_objects, documents, names, schemas, transfer
from karbor_like.plugins.toolkit.source import Source
from karbor_like.plugins.toolkit.transfer import TransferTimeout
from karbor_like.plugins.trove import backup, description, objects
from karbor_like.plugins.trove.backup import BACKUP
from karbor_like.plugins.trove.database_schemas import (
    OPTIONS_SCHEMA,
    RESTORE_SCHEMA,
    SAVED_INFO_SCHEMA,
    VERIFY_SCHEMA,
)
from karbor_like.plugins.trove.objects import ACTIVE, Backups, Found, Instances, OwnInstances
from karbor_like.plugins.trove.protectable import obstacle
from karbor_like.plugins.trove.restore import Restore

#: The remark of every checkpoint.
REMARK: Final = (
    "the data is a backup in Trove: it is lost if the backup is deleted there, or if Trove loses its storage"
)


class Protect(ResourceOperation):
    """Backs the instance up and keeps the backup. It is a result, which is deleted only if the operation fails."""

    plugin: "DatabaseProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        source = _source(context)
        instance: Found = source.wait_until_idle()
        flavors = objects.read(context, "the flavors of Trove", context.clients.trove().flavors)
        described = description.describe(instance.values, flavors)
        wrong = schemas.error(described, description.INSTANCE)
        if wrong:
            raise exception.ResourceFailed(f"Trove's description of {context.resource.key} is not usable: {wrong}")
        timeout = self.plugin.timeout(context, (described["volume"] or 1) * self.plugin.gib)
        found: Found = source.take_copy(lambda name, _: _request(context, name), keep=True, timeout=timeout)
        size = found.values.get("size")
        context.report.step("storing the metadata")
        made = {"id": found.id, "operation": context.operation_id, "size": size}
        documents.put(context, {"instance": described, "backup": made})
        self.plugin.report_size(context, size)
        return {"remarks": [REMARK]}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {BACKUP: Backups(context.clients)})


class Verify(ResourceOperation):
    """Checks that the backup still exists and can be restored."""

    def main(self, context: HookContext) -> None:
        context.report.step("checking the backup")
        backup.require_usable(context, backup.document(context)["backup"])


class Delete(ResourceOperation):
    """Deletes the backup, and then the section in the bank that names it."""

    plugin: "DatabaseProtection"

    def main(self, context: HookContext) -> dict[str, Any]:
        remarks = self._delete_backup(context)
        context.report.step("deleting the objects in the bank")
        context.section.delete()
        return {"remarks": remarks}

    def _delete_backup(self, context: HookContext) -> list[str]:
        context.report.step("deleting the backup")
        document = backup.find_document(context)
        if document is None:
            return []  # the protect failed, and its clean-up deleted the backup
        described, backups = document["backup"], Backups(context.clients)
        try:
            found: Found = cloud_objects.fetch(context, backups, described["id"])
        except exception.ResourceNotFound:
            return []
        reason = backup.foreign(context, described, found)
        # Trove deletes them together with the backup that they are based on.
        listed = context.waiter.call(backups.all, check=context.check)
        children = [str(each["id"]) for each in listed if each.get("parent_id") == found.id]
        if not reason and children:
            reason = f"incremental backups are based on it: {', '.join(children)}"
        if reason:
            return [f"database backup {found.id} was not deleted: {reason}"]
        timeout = self.plugin.timeout(context, int((described["size"] or 0) * self.plugin.gib))
        cloud_objects.delete(context, backups, found.id, timeout=timeout, check=context.check)
        return []


class DatabaseProtection(TransferTimeout, ProtectionPlugin):
    """Keeps backups of database instances in Trove."""

    #: Bytes of a gigabyte in Trove.
    gib: ClassVar[int] = 1024**3

    api_version = 1
    group = "database_backup_plugin"
    options = (transfer.seconds_per_gib("Trove copies to or from a backup"),)
    creates = (Instances, Backups)
    schemas = {resource.DATABASE: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, VERIFY_SCHEMA)}
    operations = {
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
        OperationType.VERIFY: Verify,
        OperationType.DELETE: Delete,
    }
    refusals = {OperationType.COPY: "the data of its checkpoints is a backup in Trove, which a copy would not include"}

    def report_size(self, context: HookContext, size: float | None) -> None:
        """Record that *size* GiB are protected, none of them in the bank."""
        total = int((size or 0) * self.gib)
        context.report.progress(total, total)
        context.report.sizes(logical=total, new=0, stored=0)


def _source(context: HookContext) -> Source:
    clients = context.clients
    instances, backups = OwnInstances(clients), Backups(clients)
    return Source(context, instances, backups, {ACTIVE}, obstacle, owner=lambda found: None, role=BACKUP)


def _request(context: HookContext, name: str) -> str:
    """Request the backup and return its id."""
    instance_id = context.resource.id
    given = names.plain(context.parameters.get("description") or "")[: names.MAX_LENGTH - len(name) - 1]
    values = {
        "instance": instance_id,
        "name": names.plain(context.parameters.get("backup_name") or f"backup{instance_id}"),
        "description": f"{given} {name}".strip(),
    }
    with translated(f"backing up database instance {instance_id}"):
        return str(context.clients.trove().create("backups", values)["id"])
