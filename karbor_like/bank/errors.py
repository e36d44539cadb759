"""Errors of a bank. Every object store maps its own errors to these, and to no others."""

from typing import Final

from karbor_like import exception


class BankError(exception.KarborLikeError):
    """Base class of all errors of a bank."""


class ObjectNotFound(BankError, exception.NotFound):
    """No object has this key. Never raised if the store did not answer."""


class AccessDenied(BankError, exception.BankUnavailable):
    """The store refused the credentials of the provider, or is read-only. Retrying does not help."""


class BankFull(BankError, exception.BankUnavailable):
    """The store has no space left, or its quota is reached. Retrying does not help."""


class ConnectionFailed(BankError, exception.BankUnavailable):
    """The store did not answer, or the answer was cut short. Retrying may help."""


class Unsuitable(BankError, exception.BankUnavailable):
    """The store lacks something that a bank needs. Retrying does not help."""


class InvalidKey(BankError, exception.InvalidInput):
    """A key violates the rules of :mod:`karbor_like.bank.layout`."""


class Corrupted(BankError):
    """Stored bytes differ from what was written. Names the object and the problem. Retrying does not help."""


class UnsupportedVersion(BankError):
    """The object has a version of the format that this reader does not know."""


class KeyUnavailable(BankError, exception.BankUnavailable):
    """The key that encrypts a project's data is unavailable: master key missing, wrong, or its manager unreachable."""


#: Errors of objects that exist and cannot be understood. A store that does not answer raises other errors.
UNREADABLE: Final = (Corrupted, UnsupportedVersion, KeyUnavailable)


#: Errors of a store that can be read and cannot be written. A put that raises one of them stored nothing, unless an earlier
#: attempt of it was carried out and its response was lost.
UNWRITABLE: Final = (AccessDenied, BankFull)


class LeaseLost(BankError, exception.LeaseLost):
    """The writer's lease expired before it committed. What it wrote is garbage and will be collected."""


class Busy(BankError, exception.Conflict):
    """Another process is doing the same to this bank. Retry later."""
