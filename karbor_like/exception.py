"""The error tree: every error that the project raises on purpose descends from :class:`KarborLikeError`.

A message names the object, what happened, and what the reader can do about it. This module does not know HTTP:
``api/errors.py`` alone maps classes to statuses. Every class takes one message, so that RPC can rebuild an error.
A family with details of its own (``bank/errors.py``) derives from these classes and lives next to its code.

What a message says may be meant for the operator: addresses of services, paths of hosts. :func:`public_text` is what
tenants get to see of an error, in every reason, remark and answer.

A class that sets ``type`` names a condition that programs can tell apart. The types are part of the REST API: an
existing type never changes. A class without a type has the one of its parent.
"""

import re
from typing import ClassVar, Final

#: Addresses of services in what client libraries say about the network.
_ADDRESS: Final = re.compile(
    r"""\w+://[^\s'"<>]*[^\s'"<>:.,;)]|\b\w+Pool\(host=[^()]*\)|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\[[0-9a-f:]*:[0-9a-f:]*\](?::\d+)?""",
    re.IGNORECASE,
)


class KarborLikeError(Exception):
    """The service failed. Its log has the reason.

    A message of this tree never contains a secret.
    """

    #: ``noun.condition``, for programs.
    type: str = "server.error"
    #: What tenants see in place of the message, which is for the operator. None: the message.
    public: ClassVar[str | None] = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def public_text(error: BaseException) -> str:
    """Return what a tenant may know of *error*: no address of a service, no path of a host, no text of another library.

    The caller logs the error itself.
    """
    if not isinstance(error, KarborLikeError):
        return f"unexpected {type(error).__name__}; the log of the service has the reason"
    if error.public is not None:
        return error.public
    if isinstance(error, Unavailable):
        return _ADDRESS.sub("(address)", error.message)
    return error.message


def kind_of(error: BaseException) -> type[KarborLikeError]:
    """Return the class of this module that *error* belongs to: the nearest ancestor, or KarborLikeError for any other error.

    Other processes know these classes, but not those that a package derives from them.
    """
    return next((kind for kind in type(error).__mro__ if kind.__module__ == __name__), KarborLikeError)


class InvalidInput(KarborLikeError):
    """The request breaks a rule. The message names the field and the rule."""

    type = "request.invalid"


class NotAuthorized(KarborLikeError):
    """The caller may see the object but may not do this to it."""

    type = "request.not_authorized"


class NotFound(KarborLikeError):
    """The object does not exist, or belongs to another project."""

    type = "object.not_found"


class Conflict(KarborLikeError):
    """The request conflicts with the present state, or with another request."""

    type = "request.conflict"


class OverQuota(KarborLikeError):
    """A limit of the project is reached. The message names the limit and its value."""

    type = "quota.exceeded"


class Unsupported(KarborLikeError):
    """The provider, its plugin or the cloud does not support this operation."""

    type = "operation.unsupported"


class Unavailable(KarborLikeError):
    """A service cannot be reached, or refuses work for now. A retry may succeed."""

    type = "service.unavailable"
    #: Seconds after which the service wants to be asked again; 0: it did not say.
    retry_after: float = 0.0


class Busy(Unavailable):
    """The API refuses a request that would wait for another service, because too many do. It changed nothing."""

    type = "service.busy"


class Timeout(Unavailable):
    """An expected change did not happen in time. The message names the change and the time in seconds."""

    type = "operation.timed_out"


class Cancelled(KarborLikeError):
    """The operation was cancelled."""

    type = "operation.cancelled"


class LeaseLost(KarborLikeError):
    """This process no longer owns the operation and must not touch it. Another process may take it over."""

    type = "operation.lease_lost"


class ConfigurationError(KarborLikeError):
    """A file of the operator has an error. The message names the file, section, option or line."""

    public = "the service is not configured correctly; its log has the reason"


class ResourceFailed(KarborLikeError):
    """A resource in the cloud is in an error state. The message has the reason that the cloud gives."""

    type = "resource.failed"


class Damaged(KarborLikeError):
    """What a checkpoint needs is damaged or lost: in the bank, or a snapshot or backup in the cloud."""

    type = "checkpoint.damaged"


class CheckpointDamaged(Damaged, ResourceFailed):
    """A plugin found that what it stored, or left in the cloud for a checkpoint, is damaged or lost."""


# Requests that break a rule.


class MalformedRequest(InvalidInput):
    """The path, the query string or the body cannot be decoded: it is not UTF-8, not JSON, or nested too deeply."""

    type = "request.malformed"


class WrongProject(InvalidInput):
    """The project in the path is not the project of the token."""

    type = "request.wrong_project"


class UnknownResourceType(InvalidInput):
    """No installed protectable plugin handles this resource type."""

    type = "resource_type.unknown"


class UnknownParameter(InvalidInput):
    """The plugin for this resource type has no such parameter."""

    type = "parameter.unknown"


class PlanWrongProvider(InvalidInput):
    """The plan belongs to another provider than the one in the request."""

    type = "plan.wrong_provider"


class PlanNotSuspended(InvalidInput):
    """The plan can only be changed while it is suspended."""

    type = "plan.not_suspended"


class PlanEmpty(InvalidInput):
    """The plan has no resources to protect."""

    type = "plan.empty"


class PlanNotProtected(InvalidInput):
    """The plan has no checkpoint to copy."""

    type = "plan.not_protected"


# Callers without the right.


class PolicyNotAuthorized(NotAuthorized):
    """The access policy does not allow this action. The message names the rule."""

    type = "policy.not_authorized"


class TrustRefused(NotAuthorized):
    """Keystone refuses to create the trust that scheduled operations need."""

    type = "trust.refused"


# Objects that do not exist.


class PlanNotFound(NotFound):
    """The plan does not exist, or belongs to another project."""

    type = "plan.not_found"


class ProviderNotFound(NotFound):
    """The provider does not exist, or is disabled."""

    type = "provider.not_found"


class CheckpointNotFound(NotFound):
    """The checkpoint does not exist, or belongs to another project."""

    type = "checkpoint.not_found"


class RestoreNotFound(NotFound):
    """The restore does not exist, or belongs to another project."""

    type = "restore.not_found"


class VerificationNotFound(NotFound):
    """The verification does not exist, or belongs to another project."""

    type = "verification.not_found"


class TriggerNotFound(NotFound):
    """The trigger does not exist, or belongs to another project."""

    type = "trigger.not_found"


class ScheduledOperationNotFound(NotFound):
    """The scheduled operation does not exist, or belongs to another project."""

    type = "scheduled_operation.not_found"


class OperationLogNotFound(NotFound):
    """The operation log does not exist, or belongs to another project."""

    type = "operation_log.not_found"


class ServiceNotFound(NotFound):
    """The service does not exist."""

    type = "service.not_found"


class ResourceNotFound(NotFound):
    """The resource (volume, image, server) does not exist in the cloud, or belongs to another project."""

    type = "resource.not_found"


# Conflicts.


class IdempotencyKeyReused(Conflict):
    """The ``Idempotency-Key`` was sent before with another request."""

    type = "idempotency_key.reused"


class WrongState(Conflict):
    """The state of the object does not allow this. The message names the state."""

    type = "object.wrong_state"


class CheckpointNotAvailable(WrongState):
    """The checkpoint is not ``available``, so that it cannot be restored, verified or copied."""

    type = "checkpoint.not_available"


class ResourceNotProtectable(WrongState):
    """The state of the resource in the cloud does not allow its protection."""

    type = "resource.not_protectable"


class OperationEnded(WrongState):
    """The operation has ended, so that it cannot be cancelled."""

    type = "operation.ended"


class InUse(Conflict):
    """Other objects depend on this object. The message names them."""

    type = "object.in_use"


class CheckpointInUse(InUse):
    """A running operation uses the checkpoint. The message names it."""

    type = "checkpoint.in_use"


class PlanInUse(InUse):
    """Scheduled operations use the plan. The message names them."""

    type = "plan.in_use"


class TriggerInUse(InUse):
    """Scheduled operations use the trigger. The message names them."""

    type = "trigger.in_use"


# Services that cannot be reached.


class BusUnavailable(Unavailable):
    """The message bus, or the service behind it, does not answer."""

    type = "bus.unavailable"


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    type = "database.unavailable"


class BankUnavailable(Unavailable):
    """The bank of the provider does not answer, refuses access, is full, or its keys are missing."""

    public = "the bank of the provider is not available; the log of the service has the reason"
    type = "bank.unavailable"
