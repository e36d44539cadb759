"""Errors of a bank. Every object store maps its own errors to these, and to no others.

Messages name the bank's path or address. Those of errors without ``public`` name nothing but objects in the bank.
"""

from typing import ClassVar, Final

from karbor_like import exception


class BankError(exception.KarborLikeError):
    """Base class of all errors of a bank."""

    public: ClassVar[str | None] = "the bank of the provider failed; the log of the service has the reason"


class ObjectNotFound(BankError, exception.NotFound):
    """No object has this key. Never raised if the store did not answer."""

    public = None


class AccessDenied(BankError, exception.BankUnavailable):
    """The store refused the credentials of the provider, or is read-only. Retrying does not help."""

    public = "the bank of the provider refuses access to the service; ask the operator of the cloud"


class BankFull(BankError, exception.BankUnavailable):
    """The store has no space left, or its quota is reached. Retrying does not help."""

    public = "the bank of the provider is full, or its quota is reached; ask the operator of the cloud"


class ConnectionFailed(BankError, exception.BankUnavailable):
    """The store did not answer, or the answer was cut short. Retrying may help."""

    #: When the store last answered any request before it was sent this one, monotonic seconds; None if that is unknown.
    answered: float | None = None

    #: Who did not answer.
    peer: ClassVar[str] = "the bank of the provider"
    public = f"{peer} does not answer; try again later"


class KeyManagerUnavailable(ConnectionFailed):
    """The key manager, which has the master keys of the bank, did not answer. Retrying may help."""

    peer = "the key manager of the bank"
    public = f"{peer} does not answer; try again later"


class Unsuitable(BankError, exception.BankUnavailable):
    """The store lacks something that a bank needs. Retrying does not help."""

    public = "the bank of the provider cannot store this; ask the operator of the cloud"


class InvalidKey(BankError, exception.InvalidInput):
    """A key violates the rules of :mod:`karbor_like.bank.layout`."""

    public = None


class Corrupted(BankError, exception.Damaged):
    """Stored bytes differ from what was written. Names the object and the problem. Retrying does not help."""

    public = None


class ObjectMissing(Corrupted):
    """An object that the commit of a checkpoint names is not stored: it was lost, or a deletion has begun."""


class UnsupportedVersion(BankError):
    """The object has a version of the format that this reader does not know."""

    public = None


class KeyUnavailable(BankError, exception.BankUnavailable):
    """The key that encrypts a project's data is unavailable: the master key is missing, wrong or refused."""

    public = "the key of the project's data in the bank is not available; ask the operator of the cloud"


#: Errors of objects that exist and cannot be understood. A store that does not answer raises other errors.
UNREADABLE: Final = (Corrupted, UnsupportedVersion, KeyUnavailable)


#: Errors of a store that can be read and cannot be written. A put that raises one of them stored nothing, unless an earlier
#: attempt of it was carried out and its response was lost.
UNWRITABLE: Final = (AccessDenied, BankFull)


class LeaseLost(BankError, exception.LeaseLost):
    """The writer's lease expired before it committed. What it wrote is garbage and will be collected."""

    public = "the service lost its lease of the bank"


class Busy(BankError, exception.Conflict):
    """Another process is doing the same to this bank. Retry later."""

    public = "another process is doing the same to the bank; try again later"
