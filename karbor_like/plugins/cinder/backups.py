"""Cinder's backups of one volume: found in the project that has them, imported, and deleted in any order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import Clients
from karbor_like.plugins.cinder import records
from karbor_like.plugins.cinder.objects import Backups
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects
from karbor_like.plugins.toolkit.comparison import require_equal
from karbor_like.plugins.toolkit.details import Details

#: Beginning of the names of backups whose checkpoint was deleted, and that incremental ones still depend on.
ORPHAN: Final = "karbor-like-orphan-"

_OWNER: Final = "os-backup-project-attr:project_id"


@dataclass(frozen=True)
class Located:
    """A backup in this cloud.

    :param backup: as Cinder shows it
    :param clients: of the identity in whose project it is
    :param imported: whether that is the project of the service
    """

    backup: Any
    clients: Clients
    imported: bool

    def require_restorable(self) -> None:
        """Raise ResourceFailed if the backup will not become restorable. One that is being restored will."""
        if self.backup.status not in ("available", "restoring"):
            reason = Backups(self.clients).failure(self.backup) or f"it is {self.backup.status!r}"
            raise exception.CheckpointDamaged(f"backup {self.backup.id} cannot be restored: {reason}")


def locate(context: HookContext, described: Mapping[str, Any]) -> Located | None:
    """Return the backup of the checkpoint, from the tenant's project or that of the service. None: neither has it.

    :param described: what the checkpoint states of it: ``id`` and ``size`` in GiB

    Raises ResourceFailed if the backup is another project's or another volume's.
    """
    found = _find(context, described["id"])
    if found is not None:
        if found.backup.volume_id != context.resource.id:
            raise exception.CheckpointDamaged(f"backup {found.backup.id} is one of volume {found.backup.volume_id}")
        sizes = {"checkpoint": described["size"], "backup": found.backup.size}
        require_equal(f"size in GiB of backup {found.backup.id}", sizes, kind=exception.CheckpointDamaged)
    return found


def _find(context: HookContext, backup_id: str) -> Located | None:
    for clients in (context.clients, context.service):
        if clients is None:
            continue
        try:
            backup = cloud_objects.fetch(context, Backups(clients), backup_id)
        except exception.ResourceNotFound:
            continue
        # Cinder shows administrators, such as the service user, the backups of all projects, and states the project.
        project_id = context.waiter.call(lambda clients=clients: _project_of(clients), check=context.check)  # type: ignore[misc]
        if getattr(backup, _OWNER, project_id) == project_id:
            return Located(backup, clients, imported=clients is context.service)
        if clients is context.service:
            raise exception.ResourceFailed(f"backup {backup_id} is another project's")
    return None


def _project_of(clients: Clients) -> str:
    with translated("the project of the identity"):
        return str(clients.session.get_project_id())


def bring(context: HookContext, described: Mapping[str, Any], timeout: float, *, ancestors: bool = True) -> Located:
    """Import the records of the backup and its ancestors into the project of the service, and return the backup. Idempotent.

    The journal does not have them: they remain, because deleting an imported record deletes the data.

    :param timeout: seconds for each record
    :param ancestors: False: import the record of the backup only, to delete it

    Raises ResourceFailed if a record is not what it should be, or Cinder does not accept it.
    """
    service = context.service
    assert service is not None, "the plan is refused without a service user"
    context.report.step("importing the records of the backup")
    backups = Backups(service)
    chain = records.load(context, described["id"])
    for record in chain if ancestors else chain[-1:]:
        backup_id = records.id_of(record)

        def find_or_import(record: records.Record = record, backup_id: str = backup_id) -> None:
            if _find(context, backup_id) is None:
                context.check()
                with translated(f"importing the record of backup {backup_id}"):
                    service.cinder().backups.import_record(record["backup_service"], record["backup_url"])

        context.waiter.call(find_or_import, check=context.check)
        cloud_objects.wait(context, backups, backup_id, timeout)
    located = locate(context, described)
    if located is None:
        raise exception.ResourceFailed(f"backup {described['id']} does not exist after its record was imported")
    return located


class Deletion:
    """The deletion of a backup, and of those ancestors that were kept for it only.

    A backup that others depend on is kept under a name by which the deletion of the last one of them finds it.

    :param timeout: seconds for each backup
    """

    def __init__(self, context: HookContext, located: Located, timeout: float) -> None:
        self._context = context
        self._backups = Backups(located.clients)
        self._backup_id: str = located.backup.id
        self._imported = located.imported
        self._timeout = timeout

    def perform(self) -> list[str]:
        """Delete what can be deleted, and return remarks on what is kept. Idempotent."""
        unmarked = None
        if self._delete(self._backup_id) is not None:
            unmarked = self._mark()
            # The last one that depended on it may have been deleted before it had the name.
            reason = self._delete(self._backup_id)
            if reason is not None:
                kept = f"backup {self._backup_id} is kept because others depend on it: {reason}"
                return [f"{kept}. Delete it yourself later: it could not be marked: {unmarked}" if unmarked else kept]
        self._remove_orphans()
        return []

    def _mark(self) -> str | None:
        """Give the backup the name of an orphan. Return why Cinder refuses that, or None if it does not."""
        name = f"{ORPHAN}{self._context.checkpoint_id}"
        manager = self._backups.clients.cinder().backups
        return Details(self._context, f"backup {self._backup_id}").attempt(
            lambda: manager.update(self._backup_id, name=name)
        )

    def _remove_orphans(self) -> None:
        """Delete the orphans of the volume that nothing depends on any more, newest first."""
        listed = self._context.waiter.call(
            lambda: self._backups.of_volume(self._context.resource.id), check=self._context.check
        )
        for backup in listed:
            if (backup.name or "").startswith(ORPHAN):
                self._delete(backup.id)

    def _delete(self, backup_id: str) -> str | None:
        """Delete one backup and wait until it is deleted. Return why that must not be, or None."""
        context, backups = self._context, self._backups
        reason = _child(context, backup_id) if self._imported else None
        if reason is None:
            try:
                context.waiter.until(
                    f"backup {backup_id} to become idle",
                    lambda: backups.get(backup_id),
                    done=lambda current: current.status in (*backups.deletable, "deleting"),
                    timeout=self._timeout,
                    check=context.check,
                )
                reason = context.waiter.call(lambda: self._ask(backup_id), check=context.check)
            except exception.ResourceNotFound:
                return None
        if reason is None:
            cloud_objects.delete(context, backups, backup_id, timeout=self._timeout, check=context.check)
        return reason

    def _ask(self, backup_id: str) -> str | None:
        """Ask Cinder to delete a backup. Return Cinder's reason if it refuses although the state allows it."""
        current = self._backups.get(backup_id)
        if current.status in self._backups.deletable:
            try:
                self._backups.delete(current)
            except exception.ResourceFailed as error:
                if self._backups.get(backup_id).status in self._backups.deletable:
                    return exception.public_text(error)
        return None


def _child(context: HookContext, backup_id: str) -> str | None:
    """Return which other checkpoint has a backup that depends on this one, or None.

    The Cinder of another site knows only those backups whose records were imported there.
    """
    for section in context.others:
        if backup_id in records.ancestors(section):
            return f"checkpoint {section.checkpoint_id} has an incremental backup that needs it"
    return None
