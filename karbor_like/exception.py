"""The error tree: every error the project raises on purpose descends from :class:`KarborLikeError`.

An error says what was wrong, with which value, and what to do about it. It knows nothing of HTTP: ``api/errors.py`` is
the one place where a class becomes a status. Each class takes one message, so that it survives a trip over RPC.
Families with an inside of their own (``bank/errors.py``) derive from these classes and live beside their code.
"""


class KarborLikeError(Exception):
    """Something the project noticed itself. The message is fit to be shown to the tenant: no secrets in it, ever."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class InvalidInput(KarborLikeError):
    """What the caller sent cannot be accepted; says which field and which rule."""


class NotAuthorized(KarborLikeError):
    """The caller may know of the object but may not do this to it."""


class NotFound(KarborLikeError):
    """The object does not exist, or the caller may not know that it does."""


class Conflict(KarborLikeError):
    """The object is in a state in which this cannot be done."""


class InUse(Conflict):
    """Other objects depend on this one; names them."""


class OverQuota(KarborLikeError):
    """The project's limit is reached; names the limit and its value."""


class Unsupported(KarborLikeError):
    """The provider or plugin does not offer this operation."""


class Unavailable(KarborLikeError):
    """A service, a cloud or a bank cannot be reached or is full right now; trying again later may work."""


class Timeout(Unavailable):
    """Something that was waited for did not happen in time; says what, and how long was waited."""


class Cancelled(KarborLikeError):
    """The operation was told to stop and stopped."""


class LeaseLost(KarborLikeError):
    """This process no longer owns what it was working on; another one may. It must stop touching it."""


class ConfigurationError(KarborLikeError):
    """A file of the operator's has a mistake; says which file, section, option or line."""


class ResourceFailed(KarborLikeError):
    """A resource in the cloud went to an error state; carries the cloud's own reason."""


class PlanNotFound(NotFound):
    pass


class ProviderNotFound(NotFound):
    pass


class CheckpointNotFound(NotFound):
    pass


class RestoreNotFound(NotFound):
    pass


class VerificationNotFound(NotFound):
    pass


class TriggerNotFound(NotFound):
    pass


class ScheduledOperationNotFound(NotFound):
    pass


class OperationLogNotFound(NotFound):
    pass


class ServiceNotFound(NotFound):
    pass


class ResourceNotFound(NotFound):
    """A resource (volume, image, server ...) does not exist in the cloud or is another project's."""


class UnknownResourceType(InvalidInput):
    """No protectable plugin offers this type."""
