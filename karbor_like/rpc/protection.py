"""The protection service as its callers see it: one method per call, plain JSON both ways, errors of the error tree.

Objects are those of the REST API (checkpoint, provider, instance ...), whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import oslo_messaging

from karbor_like.context import RequestContext
from karbor_like.rpc import client

TOPIC = "karbor_like_protection"
VERSION = "1.0"

Json = dict[str, Any]


class ProtectionClient(client.Client):
    """Calls any of the running protection services."""

    service = "protection service"
    topic = TOPIC
    version = VERSION

    def look(self, ctxt: RequestContext) -> None:
        """A hint that operations wait. Never fails: services find them anyway, a little later."""
        try:
            self._client.prepare(fanout=True).cast(ctxt, "look")
        except oslo_messaging.MessagingException:
            return

    def protect(
        self,
        ctxt: RequestContext,
        *,
        plan_id: str,
        provider_id: str,
        extra_info: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
    ) -> Json:
        """Begin to protect a plan. Answers with the checkpoint as soon as it stands in the bank.

        :param checkpoint_id: id that the checkpoint will have; asked twice for the same, there is one checkpoint
        """
        return self._call(
            ctxt,
            "protect",
            plan_id=plan_id,
            provider_id=provider_id,
            extra_info=dict(extra_info or {}),
            checkpoint_id=checkpoint_id,
        )

    def restore(self, ctxt: RequestContext, *, restore_id: str, restore_auth: Mapping[str, Any] | None = None) -> None:
        """Begin the restore whose row stands in the database. Where it cannot begin, the row says ``fail`` and why, and the
        same is raised.

        :param restore_auth: credential for the restore's target; travels encrypted
        """
        sealed = self._cipher.encrypt(dict(restore_auth)) if restore_auth else None
        self._call(ctxt, "restore", restore_id=restore_id, restore_auth=sealed)

    def verify(self, ctxt: RequestContext, *, verification_id: str) -> None:
        """Begin the verification whose row stands in the database; as :meth:`restore`."""
        self._call(ctxt, "verify", verification_id=verification_id)

    def copy(
        self,
        ctxt: RequestContext,
        *,
        plan_id: str,
        provider_id: str,
        target_provider_id: str | None = None,
        checkpoint_ids: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        copy_id: str | None = None,
    ) -> Json:
        """Begin to copy checkpoints of a plan to another provider. Answers with the API's copy when all rows stand.

        :param target_provider_id: None: the one that the provider's file names
        :param checkpoint_ids: None: every available one that was not copied there yet
        :param copy_id: id of the request; asked twice with the same, nothing is copied twice
        """
        return self._call(
            ctxt,
            "copy",
            plan_id=plan_id,
            provider_id=provider_id,
            target_provider_id=target_provider_id,
            checkpoint_ids=list(checkpoint_ids) if checkpoint_ids is not None else None,
            parameters=dict(parameters or {}),
            copy_id=copy_id,
        )

    def cancel(self, ctxt: RequestContext, *, operation_id: str) -> None:
        """Ask an operation to stop. Raises Conflict where it has ended."""
        self._call(ctxt, "cancel", operation_id=operation_id)

    def list_providers(self, ctxt: RequestContext) -> list[Json]:
        """All enabled providers with their schemas, by id."""
        return self._call(ctxt, "list_providers")

    def show_provider(self, ctxt: RequestContext, *, provider_id: str) -> Json:
        """Raises ProviderNotFound."""
        return self._call(ctxt, "show_provider", provider_id=provider_id)

    def list_checkpoints(
        self,
        ctxt: RequestContext,
        *,
        provider_id: str,
        filters: Mapping[str, Any] | None = None,
        limit: int | None = None,
        marker: str | None = None,
        sort: Sequence[tuple[str, str]] | None = None,
    ) -> list[Json]:
        """A page of a provider's checkpoints that are not deleted, newest first.

        :param filters: ``plan_id``, ``project_id`` (absent: all projects), ``status``, ``start_date`` and ``end_date``
            (``YYYY-MM-DD``, inclusive)
        :param sort: (key, ``asc`` or ``desc``) in order of weight
        """
        return self._call(
            ctxt,
            "list_checkpoints",
            provider_id=provider_id,
            filters=dict(filters or {}),
            limit=limit,
            marker=marker,
            sort=list(sort or ()),
        )

    def show_checkpoint(self, ctxt: RequestContext, *, provider_id: str, checkpoint_id: str) -> Json:
        """Raises CheckpointNotFound; also for another project's, unless the caller is an administrator."""
        return self._call(ctxt, "show_checkpoint", provider_id=provider_id, checkpoint_id=checkpoint_id)

    def delete_checkpoint(self, ctxt: RequestContext, *, provider_id: str, checkpoint_id: str) -> None:
        """Begin to delete: the status is ``deleting`` when this returns. Raises Conflict in any but the states
        ``available``, ``error`` and ``error-deleting``, and while it is being restored, verified or copied.
        """
        self._call(ctxt, "delete_checkpoint", provider_id=provider_id, checkpoint_id=checkpoint_id)

    def reset_checkpoint(self, ctxt: RequestContext, *, provider_id: str, checkpoint_id: str, state: str) -> None:
        """Set the status to ``available`` or ``error``. Raises Conflict while an operation runs on the checkpoint."""
        self._call(ctxt, "reset_checkpoint", provider_id=provider_id, checkpoint_id=checkpoint_id, state=state)

    def list_protectables(self, ctxt: RequestContext) -> list[str]:
        """The resource types that can be looked for."""
        return self._call(ctxt, "list_protectables")

    def show_protectable(self, ctxt: RequestContext, *, resource_type: str) -> Json:
        """``{"name", "dependent_types"}``. Raises UnknownResourceType."""
        return self._call(ctxt, "show_protectable", resource_type=resource_type)

    def list_instances(
        self,
        ctxt: RequestContext,
        *,
        resource_type: str,
        parameters: Mapping[str, Any] | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> list[Json]:
        """A page of the caller's resources of a type with their direct children, by id. Raises UnknownResourceType."""
        return self._call(
            ctxt,
            "list_instances",
            resource_type=resource_type,
            parameters=dict(parameters or {}),
            limit=limit,
            marker=marker,
        )

    def show_instance(
        self,
        ctxt: RequestContext,
        *,
        resource_type: str,
        resource_id: str,
        parameters: Mapping[str, Any] | None = None,
    ) -> Json:
        """One resource with its direct children. Raises UnknownResourceType, ResourceNotFound, Conflict."""
        return self._call(
            ctxt,
            "show_instance",
            resource_type=resource_type,
            resource_id=resource_id,
            parameters=dict(parameters or {}),
        )
