"""Restores of checkpoints."""

from collections.abc import Generator
from typing import Any

from openstack import resource

from karbor_like_client.v1 import base, work


class Restore(work.Work):
    """A restore, or what it would do."""

    resource_key = "restore"
    resources_key = "restores"
    base_path = "/restores"
    allow_create = allow_fetch = allow_delete = allow_list = True
    _query_mapping = resource.QueryParameters("status", "provider_id", "checkpoint_id", **base.PAGING)

    provider_id = resource.Body("provider_id")
    checkpoint_id = resource.Body("checkpoint_id")
    #: The Keystone URL of another cloud.
    restore_target = resource.Body("restore_target")
    #: Only for a request: the credential for the target.
    restore_auth = resource.Body("restore_auth", type=dict)
    #: Options of plugins, by ``Type`` or ``Type#id``.
    parameters = resource.Body("parameters", type=dict)
    #: Only for a request: the resources to restore, as ``Type#id``.
    resources = resource.Body("resources", type=list)
    #: Only for a request: whether to restore the children of *resources* too.
    with_children = resource.Body("with_children", type=bool)
    #: Whether to create nothing, and find out what a restore would do.
    dry_run = resource.Body("dry_run", type=bool)
    #: Only for a request: whether to make a plan that protects what is restored.
    with_plan = resource.Body("with_plan", type=bool)
    #: The id of that plan, or None if the restore has made none, or none yet.
    restored_plan_id = resource.Body("restored_plan_id")
    #: What a dry run found: ``actions``, ``bytes``, ``quotas``, ``deployer``, ``template``.
    plan = resource.Body("plan", type=dict)
    #: By new resource, as ``Type#id``.
    resources_status = resource.Body("resources_status", type=dict)
    #: By new resource, as ``Type#id``.
    resources_reason = resource.Body("resources_reason", type=dict)


class Restores(work.Waiting):
    """Requests about restores."""

    def restores(self, **query: Any) -> Generator[Restore, None, None]:
        """Yield restores.

        :param query: ``status``, ``all_projects``, ``project_id``, ``sort``, ``limit``, ``marker``; for administrators also
            ``provider_id`` and ``checkpoint_id``
        """
        return self._list(Restore, **query)

    def get_restore(self, restore: str | Restore) -> Restore:
        """Return a restore by its id.

        :raises NotFound: there is none
        """
        return self._get(Restore, restore)

    def create_restore(self, **attributes: Any) -> Restore:
        """Restore a checkpoint. Returns when the operation has started, see :meth:`wait_for_restore`.

        :param attributes: ``provider_id``, ``checkpoint_id`` and possibly ``parameters``, ``resources``, ``with_children``,
            ``dry_run``, ``with_plan``, ``restore_target``, ``restore_auth`` and ``idempotency_key``
        """
        return self._create(Restore, **{"parameters": {}, **attributes})

    def cancel_restore(self, restore: str | Restore) -> None:
        """Cancel a restore in progress: its status becomes ``fail``, and what it created is deleted.

        :raises Conflict: it has ended
        """
        self._delete(Restore, restore, ignore_missing=False)

    def wait_for_restore(
        self,
        restore: Restore,
        *,
        progress: work.Callback | None = None,
        interval: float = work.INTERVAL,
        wait: float | None = None,
    ) -> Restore:
        """Wait until a restore has succeeded, as :meth:`wait_for_checkpoint` does."""
        return self._wait(restore, progress, interval, wait)
