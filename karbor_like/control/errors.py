"""Errors of the backup and recovery of the control plane."""

from karbor_like import exception


class BadArchive(exception.InvalidInput):
    """The archive is damaged, truncated or hostile, or is not an archive."""


class WrongKey(exception.InvalidInput):
    """The passphrase or private key does not open the archive."""


class WrongVersion(exception.Unsupported):
    """Another release made the archive, and this one cannot restore it."""


class TargetFailed(exception.Unavailable):
    """The place where archives are kept does not answer, refuses access, is full, or has other bytes than were written."""


class NoSuchArchive(exception.NotFound):
    """There is no archive with this name at the target."""
