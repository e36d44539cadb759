"""What can go wrong in a bank. Every object store maps its own errors to these, and to nothing else."""

from typing import Final

from karbor_like import exception


class BankError(exception.KarborLikeError):
    """Root of the family."""


class ObjectNotFound(BankError, exception.NotFound):
    """There is no object under this key. Never used for a store that did not answer."""


class AccessDenied(BankError, exception.Unavailable):
    """The store refused the credentials of the provider. Trying again does not help."""


class BankFull(BankError, exception.Unavailable):
    """The store has no room left, or its quota is reached. Trying again does not help."""


class ConnectionFailed(BankError, exception.Unavailable):
    """The store did not answer, or the answer was cut. Trying again may help."""


class InvalidKey(BankError, exception.InvalidInput):
    """A key that breaks the rules of :mod:`karbor_like.bank.layout`."""


class Corrupted(BankError):
    """Stored bytes are not what was written. Names the object and what is wrong with it. Trying again does not help."""


class UnsupportedVersion(BankError):
    """The object was written by a version of the format that this reader does not know."""


class KeyUnavailable(BankError, exception.Unavailable):
    """The key that encrypts a project's data cannot be had (master key missing, wrong, or its manager unreachable)."""


#: The object is there and cannot be understood. A store that does not answer is none of these.
UNREADABLE: Final = (Corrupted, UnsupportedVersion, KeyUnavailable)


class LeaseLost(BankError, exception.LeaseLost):
    """The writer's lease ran out before it committed. What it wrote is garbage and will be collected."""


class Busy(BankError, exception.Conflict):
    """Another process does the same thing to this bank right now, and once is enough. Try again later."""
