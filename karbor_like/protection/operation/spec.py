"""An operation as plain values: what its row, its checkpoint's row and its credential say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints, operations
from karbor_like.db.models import Checkpoint, Operation
from karbor_like.db.session import Database
from karbor_like.domain.graph import Graph
from karbor_like.domain.operation import OperationType
from karbor_like.secret import Cipher


@dataclass(frozen=True)
class OperationSpec:
    """What a flow is rebuilt from, by any process at any time.

    :param source_checkpoint_id: what a copy, which is *checkpoint_id*, is made of; *source_provider_id*: where that is
    :param owner_project: the checkpoint's project
    :param hooks: resource type -> hooks that make tasks; fixed when the operation was started, so that the flow has the same
        tasks whatever version of a plugin goes on with it
    :param parameters: the tenant's, by ``Type`` and ``Type#id``
    """

    id: str
    kind: OperationType
    provider_id: str
    checkpoint_id: str
    source_checkpoint_id: str | None
    source_provider_id: str | None
    owner_project: str
    restore_id: str | None
    verification_id: str | None
    flow_id: str
    attempts: int
    hooks: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    target: str | None
    graph: Graph
    plan: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, operation: Operation, checkpoint: Checkpoint, source: Checkpoint | None) -> "OperationSpec":
        """From the rows."""
        return cls(
            id=operation.id,
            kind=OperationType(operation.operation_type),
            provider_id=operation.provider_id,
            checkpoint_id=checkpoint.id,
            source_checkpoint_id=operation.source_checkpoint_id,
            source_provider_id=source.provider_id if source else None,
            owner_project=checkpoint.project_id,
            restore_id=operation.restore_id,
            verification_id=operation.verification_id,
            flow_id=operation.flow_id or operation.id,
            attempts=operation.attempts,
            hooks={name: tuple(hooks) for name, hooks in operation.parameters["hooks"].items()},
            parameters=operation.parameters.get("parameters") or {},
            target=operation.parameters.get("target"),
            graph=Graph.from_text(checkpoint.resource_graph),
            plan=checkpoint.plan,
            extra_info=checkpoint.extra_info,
            created_at=checkpoint.created_at,
        )


def load(database: Database, claim: operations.Claim) -> tuple[OperationSpec, str | None, bool]:
    """The claimed operation, its sealed credential, and whether it was cancelled. Raises LeaseLost."""

    with database.writer() as session:
        row = operations.check(session, claim)
        checkpoint = checkpoints.CHECKPOINTS.get(session, str(row.checkpoint_id))
        wanted = row.source_checkpoint_id
        source = checkpoints.CHECKPOINTS.find(session, wanted) if wanted else None
        return OperationSpec.of(row, checkpoint, source), row.credential, row.cancel_requested


def seal(cipher: Cipher, context: RequestContext, restore_auth: Mapping[str, Any] | None = None) -> str:
    """Who asked for an operation, with all secrets, encrypted for its row."""
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
    """Who asked for an operation, and how to act as them."""

    context: RequestContext
    restore_auth: Mapping[str, Any] | None

    @classmethod
    def unseal(cls, cipher: Cipher, sealed: str | None) -> "Credential":
        """The inverse of :func:`seal`. Raises NotAuthorized where it was forgotten, ConfigurationError for a lost key."""
        if sealed is None:
            raise exception.NotAuthorized("the operation's credential is gone; it has ended before")
        values = cipher.decrypt(sealed)
        secrets = {"auth_token": values["auth_token"], "trust_id": values["trust_id"]}
        # Not as the context of the thread that happens to do this: overwrite says so.
        context = RequestContext.from_dict(values["context"], overwrite=False, **secrets)
        return cls(context, values["restore_auth"])

    def clients(self, factory: ClientFactory, target: str | None) -> Clients:
        """SDKs that act as whoever asked; in the cloud *target* where it names one."""
        if target and self.restore_auth:
            return factory.for_target(target, self.restore_auth)
        return factory.for_context(self.context)
