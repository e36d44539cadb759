"""Database instances and their backups. The content of an instance is the names of its databases."""

from collections.abc import Callable, Mapping
from typing import Any

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, jobs, state, web
from karbor_like.sandbox.compute import flavors

INSTANCE, BACKUP = "database_instance", "database_backup"

#: States of a backup in which Trove does not delete it.
RUNNING = ("NEW", "BUILDING", "SAVING")


class Records:
    """The documents of all projects, and what happens to them in the background."""

    def __init__(self, store: state.Store, clock: clocks.Clock, work: jobs.Jobs) -> None:
        self._store = store
        self._clock = clock
        self._jobs = work

    def recover(self) -> None:
        """Resolve what an earlier process left unfinished."""
        for instance in self._store.all(INSTANCE):
            if instance["status"] == "SHUTDOWN":
                self._store.delete(INSTANCE, instance["id"])
            elif instance["status"] != "ERROR":
                status = "ERROR" if instance["status"] == "BUILD" else "ACTIVE"
                self._store.change(INSTANCE, instance["id"], status=status)
        for backup in self._store.all(BACKUP):
            if backup["status"] in RUNNING:
                self._store.change(BACKUP, backup["id"], status="FAILED")

    def all(self, caller: web.Identity, kind: str) -> list[state.Document]:
        """Return the documents of the caller's project, which are all that Trove lists to administrators as well."""
        return [each for each in self._store.all(kind) if each["project_id"] == caller.project_id]

    def get(self, caller: web.Identity, kind: str, key: str) -> state.Document:
        """Return a document.

        :raises ApiError: 404
        """
        found = self._store.get(kind, key)
        if found is None or not caller.may_see(found["project_id"]):
            raise errors.not_found(f"Resource {key} cannot be found.")
        return found

    def change(self, caller: web.Identity, key: str, **fields: Any) -> None:
        """Change an instance."""
        self.get(caller, INSTANCE, key)
        self._store.change(INSTANCE, key, **fields)

    def create_instance(
        self, caller: web.Identity, values: Mapping[str, Any], strikes: faults.Strikes
    ) -> state.Document:
        """Create an instance, empty or of a backup.

        :raises ApiError: 400, or 404 for a flavor or a backup that does not exist
        """
        size = (values.get("volume") or {}).get("size")
        if not isinstance(size, int) or size < 1:
            raise errors.bad_request("Volume size was not specified.")
        flavors.get(str(values.get("flavorRef")))
        content: list[str] = []
        if point := values.get("restorePoint"):
            backup = self.get(caller, BACKUP, str(point.get("backupRef")))
            if backup["status"] != "COMPLETED":
                raise errors.conflict(f"Backup {backup['id']} is not completed.")
            if backup["size"] > size:
                raise errors.forbidden("Backup is too large for given flavor or volume.")
            content = backup["databases"]
        access = {"is_public": False, "allowed_cidrs": [], **(values.get("access") or {})}
        instance = self._add(
            INSTANCE,
            caller,
            name=values.get("name"),
            status="BUILD",
            flavor=str(values["flavorRef"]),
            size=size,
            datastore={"type": "mysql", "version": "8.0", **(values.get("datastore") or {})},
            networks=[each["net-id"] for each in values.get("nics") or ()],
            configuration=values.get("configuration"),
            access=access,
            databases=[],
            fault=None,
        )
        self._start(instance, lambda: self._set(instance, status="ACTIVE", databases=content), strikes)
        return instance

    def delete_instance(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete an instance in the background.

        :raises ApiError: 422 while it is being built
        """
        instance = self.get(caller, INSTANCE, key)
        if instance["status"] == "BUILD":
            raise errors.ApiError(422, f"Instance {key} is not ready. (Status is BUILD).")
        self._set(instance, status="SHUTDOWN")
        self._start(instance, lambda: self._store.delete(INSTANCE, key), strikes)

    def create_backup(self, caller: web.Identity, values: Mapping[str, Any], strikes: faults.Strikes) -> state.Document:
        """Back an instance up.

        :raises ApiError: 422, if its status does not allow it
        """
        if not values.get("name"):
            raise errors.bad_request("Validation error: backup 'name' is a required property")
        with self._store.transaction():
            instance = self.get(caller, INSTANCE, str(values.get("instance")))
            if instance["status"] != "ACTIVE":
                raise errors.ApiError(
                    422, f"Instance {instance['id']} is not currently available for an action to be performed"
                )
            self._set(instance, status="BACKUP")
            backup = self._add(
                BACKUP,
                caller,
                name=values["name"],
                description=values.get("description"),
                status="NEW",
                instance_id=instance["id"],
                parent_id=values.get("parent_id"),
                datastore=instance["datastore"],
                size=None,
                databases=[],
            )

        def work() -> None:
            self._store.change(
                BACKUP, backup["id"], status="COMPLETED", size=0.25, databases=self._current(instance)["databases"]
            )
            self._set(instance, status="ACTIVE")

        def failed(reason: str) -> None:
            self._store.change(BACKUP, backup["id"], status="FAILED")
            self._set(instance, status="ACTIVE")

        self._jobs.start(work, failed, strikes)
        return backup

    def delete_backup(self, caller: web.Identity, key: str, strikes: faults.Strikes) -> None:
        """Delete a backup in the background, and the backups that are based on it. Its status does not change meanwhile.

        :raises ApiError: 422 while it is being made
        """
        backup = self.get(caller, BACKUP, key)
        if backup["status"] in RUNNING:
            raise errors.ApiError(422, f"Backup {key} cannot be deleted because it is running.")
        gone = [each["id"] for each in self._store.all(BACKUP) if key in (each["id"], each["parent_id"])]

        def work() -> None:
            for each in gone:
                self._store.delete(BACKUP, each)

        def failed(reason: str) -> None:
            self._store.change(BACKUP, key, status="DELETE_FAILED")

        self._jobs.start(work, failed, strikes)

    def _current(self, instance: state.Document) -> state.Document:
        return self._store.get(INSTANCE, instance["id"]) or instance

    def _set(self, instance: state.Document, **fields: Any) -> None:
        self._store.change(INSTANCE, instance["id"], **fields)

    def _add(self, kind: str, caller: web.Identity, **values: Any) -> state.Document:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S")
        document = {"id": web.new_id(), "project_id": caller.project_id, "created": now, "updated": now, **values}
        self._store.put(kind, document["id"], document)
        return document

    def _start(self, instance: state.Document, work: Callable[[], None], strikes: faults.Strikes) -> None:
        def failed(reason: str) -> None:
            self._set(instance, status="ERROR", fault={"message": reason, "created": instance["created"]})

        self._jobs.start(work, failed, strikes)
