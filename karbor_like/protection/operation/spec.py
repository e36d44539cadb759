"""An operation as plain data: the contents of its row, of its checkpoint's row and of its credential."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, operations
from karbor_like.db.models import Checkpoint, Operation, OperationResource
from karbor_like.db.session import Database
from karbor_like.domain import states
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.secret import Cipher


@dataclass(frozen=True)
class OperationSpec:
    """The input of a flow. Any process can rebuild the flow from it at any time.

    :param source_checkpoint_id: the source of a copy; *checkpoint_id* is the copy
    :param source_provider_id: the provider whose bank holds the source
    :param owner_project: the checkpoint's project
    :param bank_project: the checkpoint's project in the bank: another one if an operator has mapped that to *owner_project*
    :param source_project: the same of the source of a copy
    :param attempts: number of claims, with the present one
    :param interruptions: number of those that ended although their process lived
    :param waits: whether its reason says that it waits for something: see :mod:`.waiting`
    :param hooks: resource type -> hooks that become tasks. Fixed when the operation starts, so that the flow has the same
        tasks even if another version of a plugin resumes it
    :param parameters: the tenant's parameters, by ``Type`` and ``Type#id``
    :param graph: the resources of the checkpoint that the operation uses
    :param is_dry_run: whether a restore creates nothing
    :param is_partial: whether the request names some resources of the checkpoint
    :param with_plan: whether a restore makes a plan that protects what it restores
    :param request_id: of the request to the API that started it
    :param status_before: the checkpoint's status before the operation; None if an earlier version queued it
    """

    id: str
    kind: OperationType
    provider_id: str
    checkpoint_id: str
    source_checkpoint_id: str | None
    source_provider_id: str | None
    owner_project: str
    bank_project: str
    source_project: str | None
    restore_id: str | None
    verification_id: str | None
    flow_id: str
    attempts: int
    interruptions: int
    waits: bool
    hooks: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    target: str | None
    status_before: str | None
    graph: Graph
    plan: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    created_at: datetime
    is_dry_run: bool = False
    is_partial: bool = False
    with_plan: bool = False
    request_id: str | None = None

    @classmethod
    def of(cls, operation: Operation, checkpoint: Checkpoint, source: Checkpoint | None) -> "OperationSpec":
        """Build a specification from rows."""
        return cls(
            id=operation.id,
            kind=OperationType(operation.operation_type),
            provider_id=operation.provider_id,
            checkpoint_id=checkpoint.id,
            source_checkpoint_id=operation.source_checkpoint_id,
            source_provider_id=source.provider_id if source else None,
            owner_project=checkpoint.project_id,
            bank_project=checkpoint.bank_project,
            source_project=source.bank_project if source else None,
            restore_id=operation.restore_id,
            verification_id=operation.verification_id,
            flow_id=operation.flow_id or operation.id,
            attempts=operation.attempts,
            interruptions=operation.interruptions,
            waits=operation.error_info is not None,
            hooks={name: tuple(hooks) for name, hooks in operation.parameters["hooks"].items()},
            parameters=operation.parameters.get("parameters") or {},
            target=operation.parameters.get("target"),
            status_before=operation.parameters.get("status_before"),
            graph=_graph(checkpoint, operation.parameters.get("resources")),
            plan=checkpoint.plan,
            extra_info=checkpoint.extra_info,
            created_at=checkpoint.created_at,
            is_dry_run=operation.parameters.get("dry_run", False),
            is_partial=operation.parameters.get("resources") is not None,
            with_plan=operation.parameters.get("with_plan", False),
            request_id=operation.parameters.get("request_id"),
        )

    def is_member(self, resource: Resource) -> bool:
        """Whether a protect found the resource itself, as a child: then it can leave it out. See :meth:`left_out`."""
        return self.kind is OperationType.PROTECT and not any(
            (planned["type"], planned["id"]) == (resource.type, resource.id) for planned in self.plan["resources"]
        )

    def left_out(self, rows: Sequence[OperationResource]) -> list[Resource]:
        """Return the resources that the operation left out while it ran, each with its obstacle.

        :param rows: of the operation's resources
        """
        reasons = {row.resource_key: row.reason for row in rows if row.status == states.LEFT_OUT}
        return [replace(node, obstacle=reasons[node.key]) for node in self.graph.nodes if node.key in reasons]


def _graph(checkpoint: Checkpoint, keys: Collection[str] | None) -> Graph:
    """Return the resources that an operation uses: all of a checkpoint, or those with some keys."""
    graph = Graph.from_text(checkpoint.resource_graph)
    return graph if keys is None else graph.without([node for node in graph.nodes if node.key not in keys])


def load(database: Database, claim: operations.Claim) -> tuple[OperationSpec, str | None, bool]:
    """Load a claimed operation.

    :returns: the operation, its encrypted credential, and whether it was cancelled
    :raises LeaseLost: another process holds the operation
    """

    with database.writer() as session:
        row = operations.check(session, claim)
        checkpoint = checkpoints.CHECKPOINTS.get(session, str(row.checkpoint_id))
        source_id = row.source_checkpoint_id
        source = checkpoints.CHECKPOINTS.find(session, source_id) if source_id else None
        return OperationSpec.of(row, checkpoint, source), row.credential, row.cancel_requested


def encrypt(cipher: Cipher, context: RequestContext, restore_auth: Mapping[str, Any] | None = None) -> str:
    """Encrypt the caller's identity, with all secrets, for the row of the operation."""
    return cipher.encrypt(
        {
            "context": context.to_dict(),
            "auth_token": context.auth_token,
            "trust_id": context.trust_id,
            "restore_auth": dict(restore_auth) if restore_auth else None,
        }
    )


@dataclass(frozen=True)
class Credential:
    """The identity of the caller that started an operation, and the means to act on its behalf."""

    context: RequestContext
    restore_auth: Mapping[str, Any] | None

    @classmethod
    def decrypt(cls, cipher: Cipher, encrypted: str | None) -> "Credential":
        """Decrypt the result of :func:`encrypt`.

        :raises NotAuthorized: the credential was deleted
        :raises ConfigurationError: no configured key fits
        """
        if encrypted is None:
            raise exception.NotAuthorized("the operation has ended and its credential was deleted; start a new one")
        values = cipher.decrypt(encrypted)
        secrets = {"auth_token": values["auth_token"], "trust_id": values["trust_id"]}
        # overwrite=False: the context must not replace that of the current thread.
        context = RequestContext.from_dict(values["context"], overwrite=False, **secrets)
        return cls(context, values["restore_auth"])

    def clients(self, factory: ClientFactory, target: str | None) -> Clients:
        """Return SDKs that act on the caller's behalf, in the cloud *target* if one is named."""
        if target and self.restore_auth:
            return factory.for_target(target, self.restore_auth)
        return factory.for_context(self.context)
