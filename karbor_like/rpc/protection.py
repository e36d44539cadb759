"""Client of the protection service: one method per call, with plain JSON as arguments and results.

RPC is for actions, providers and protectables. Callers read objects from the database.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from karbor_like.context import RequestContext
from karbor_like.rpc import client

TOPIC = "karbor_like_protection"
#: 2.0: ``restore`` and ``verify`` take the whole request instead of the id of a row, ``protect`` returns nothing,
#: ``list_checkpoints`` and ``show_checkpoint`` were removed, ``check_plan`` was added, ``look`` is ``wake``.
#: 3.0: ``check_plan`` takes the types of the resources.
#: 3.1: ``restore`` takes *resources*, *with_children* and *dry_run*.
#: 3.2: ``restore`` takes *with_plan*.
VERSION = "3.2"

Json = dict[str, Any]


class ProtectionClient(client.Client):
    """Calls any of the running protection services.

    The calls that start something take the id of what they create. They are idempotent: a repeat with the same id changes
    nothing. When such a call returns, the rows of the object and of its operation are committed. When the service refuses
    it, there are none.

    A provider that does not exist is ProviderNotFound in every call. A checkpoint that does not exist, or belongs to another
    project or provider, is CheckpointNotFound.
    """

    service = "protection service"
    level = "protection"
    topic = TOPIC
    version = VERSION
    added: ClassVar = {
        "restore": {"resources": (1, None), "with_children": (1, True), "dry_run": (1, False), "with_plan": (2, False)}
    }

    def wake(self, ctxt: RequestContext) -> None:
        """Tell all services that operations are queued. Never waits and never fails: services also poll the queue."""
        self._hint(ctxt, "wake")

    def check_plan(
        self,
        ctxt: RequestContext,
        *,
        provider_id: str,
        resource_types: Collection[str],
        parameters: Mapping[str, Any],
    ) -> Json:
        """Check whether a provider can protect a plan, and the parameters of the plan. Return them normalized.

        :param resource_types: types of the resources that the plan names
        :raises ProviderNotFound: there is no such provider
        :raises Unsupported: the provider does not protect one of the types
        :raises InvalidInput: the provider does not accept the parameters
        """
        return self._call(
            ctxt,
            "check_plan",
            provider_id=provider_id,
            resource_types=sorted(resource_types),
            parameters=dict(parameters),
        )

    def protect(
        self,
        ctxt: RequestContext,
        *,
        checkpoint_id: str,
        plan_id: str,
        provider_id: str,
        extra_info: Mapping[str, Any],
    ) -> None:
        """Start to protect a plan. Returns when the checkpoint exists in the bank.

        If the bank refuses the checkpoint, the call fails although its row exists, with the status ``error``.

        Children of the plan's resources that cannot be protected are left out, and the checkpoint names them.

        :param checkpoint_id: id of the checkpoint to create
        :param extra_info: stored with the checkpoint; a true ``skip_missing`` leaves out planned resources that do not
            exist
        :raises PlanNotFound: there is no such plan, or it belongs to another project
        :raises PlanWrongProvider: the plan is for another provider
        :raises PlanEmpty: the plan has no resources, or none of them can be protected
        :raises ResourceNotFound: resources of the plan do not exist; names all of them
        :raises ResourceNotProtectable: the states of resources of the plan forbid their protection; names all of them
        :raises NotAuthorized: the caller's token is for another project than the plan
        :raises OverQuota: the project has as many checkpoints as its quota allows
        """
        self._call(
            ctxt,
            "protect",
            checkpoint_id=checkpoint_id,
            plan_id=plan_id,
            provider_id=provider_id,
            extra_info=dict(extra_info),
        )

    def restore(
        self,
        ctxt: RequestContext,
        *,
        restore_id: str,
        provider_id: str,
        checkpoint_id: str,
        parameters: Mapping[str, Any],
        restore_target: str | None = None,
        restore_auth: Mapping[str, Any] | None = None,
        resources: Sequence[str] | None = None,
        with_children: bool = True,
        dry_run: bool = False,
        with_plan: bool = False,
    ) -> None:
        """Start to restore a checkpoint.

        :param restore_id: id of the restore to create
        :param restore_target: Keystone URL of another cloud; None: this one
        :param restore_auth: credential for *restore_target*; travels encrypted
        :param resources: ``Type#id`` of those to restore; None: all
        :param with_children: whether to restore everything below *resources* as well
        :param dry_run: create nothing, and find out what the restore would do
        :param with_plan: also make a plan that protects what is restored
        :raises CheckpointNotAvailable: the status of the checkpoint is not ``available``
        :raises InvalidInput: the provider does not accept the parameters, *restore_auth* is missing, or *with_plan* is given
            for another cloud
        """
        self._call(
            ctxt,
            "restore",
            restore_id=restore_id,
            provider_id=provider_id,
            checkpoint_id=checkpoint_id,
            parameters=dict(parameters),
            restore_target=restore_target,
            restore_auth=self._cipher.encrypt(dict(restore_auth)) if restore_auth else None,
            resources=None if resources is None else list(resources),
            with_children=with_children,
            dry_run=dry_run,
            with_plan=with_plan,
        )

    def verify(
        self,
        ctxt: RequestContext,
        *,
        verification_id: str,
        provider_id: str,
        checkpoint_id: str,
        parameters: Mapping[str, Any],
    ) -> None:
        """Start to verify a checkpoint.

        :param verification_id: id of the verification to create
        :raises CheckpointNotAvailable: the status of the checkpoint is not ``available``
        :raises InvalidInput: the provider does not accept the parameters
        """
        self._call(
            ctxt,
            "verify",
            verification_id=verification_id,
            provider_id=provider_id,
            checkpoint_id=checkpoint_id,
            parameters=dict(parameters),
        )

    def copy(
        self,
        ctxt: RequestContext,
        *,
        copy_id: str,
        plan_id: str,
        provider_id: str,
        target_provider_id: str | None = None,
        checkpoint_ids: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Json:
        """Start to copy checkpoints of a plan to another provider. Return the ``copy`` of the REST API.

        :param copy_id: id of the request, from which the ids of the copies are derived
        :param target_provider_id: None: the one that the provider's file names
        :param checkpoint_ids: None: every available one that was not copied there yet
        :raises PlanNotProtected: the plan has no checkpoint at the provider
        :raises CheckpointNotFound: the plan has no such checkpoint at the provider
        :raises CheckpointNotAvailable: the status of a checkpoint in *checkpoint_ids* is not ``available``
        :raises InvalidInput: the target is unknown or the provider itself
        :raises OverQuota: the project would have more checkpoints than its quota allows
        """
        return self._call(
            ctxt,
            "copy",
            copy_id=copy_id,
            plan_id=plan_id,
            provider_id=provider_id,
            target_provider_id=target_provider_id,
            checkpoint_ids=list(checkpoint_ids) if checkpoint_ids is not None else None,
            parameters=dict(parameters or {}),
        )

    def cancel(self, ctxt: RequestContext, *, operation_id: str) -> None:
        """Ask an operation to stop.

        :raises OperationLogNotFound: there is no such operation, or it belongs to another project
        :raises OperationEnded: it has ended
        """
        self._call(ctxt, "cancel", operation_id=operation_id)

    def list_providers(self, ctxt: RequestContext) -> list[Json]:
        """Return all enabled providers with their schemas, sorted by id."""
        return self._call(ctxt, "list_providers")

    def show_provider(self, ctxt: RequestContext, *, provider_id: str) -> Json:
        """Return a provider with its schemas.

        :raises ProviderNotFound: there is no such provider
        """
        return self._call(ctxt, "show_provider", provider_id=provider_id)

    def delete_checkpoint(self, ctxt: RequestContext, *, provider_id: str, checkpoint_id: str) -> None:
        """Start to delete a checkpoint. Its status is ``deleting`` when this returns.

        If an operation is still creating the checkpoint, that operation is cancelled instead.

        :raises Conflict: the status is not ``available``, ``error`` or ``error-deleting``
        :raises InUse: the checkpoint is being restored, verified, copied or deleted
        """
        self._call(ctxt, "delete_checkpoint", provider_id=provider_id, checkpoint_id=checkpoint_id)

    def reset_checkpoint(self, ctxt: RequestContext, *, provider_id: str, checkpoint_id: str, state: str) -> None:
        """Set the status of a checkpoint to ``available`` or ``error``.

        :raises WrongState: the status cannot be reset
        :raises CheckpointInUse: an operation uses the checkpoint
        :raises Conflict: the bank refuses the new status
        """
        self._call(ctxt, "reset_checkpoint", provider_id=provider_id, checkpoint_id=checkpoint_id, state=state)

    def list_protectables(self, ctxt: RequestContext) -> list[str]:
        """Return the resource types that can be listed."""
        return self._call(ctxt, "list_protectables")

    def show_protectable(self, ctxt: RequestContext, *, resource_type: str) -> Json:
        """Return the ``name`` and ``dependent_types`` of a resource type.

        :raises UnknownResourceType: no plugin offers this type
        """
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
        """Return a page of the caller's resources of a type with their direct children, sorted by id.

        :raises UnknownResourceType: no plugin offers this type
        """
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
        """Return one resource with its direct children.

        :raises UnknownResourceType: no plugin offers this type
        :raises ResourceNotFound: there is no such resource in the caller's project
        :raises Conflict: the resource is in a state in which it cannot be protected
        """
        return self._call(
            ctxt,
            "show_instance",
            resource_type=resource_type,
            resource_id=resource_id,
            parameters=dict(parameters or {}),
        )
