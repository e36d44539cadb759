"""Errors of the data path."""

from karbor_like import exception


class SourceFailed(exception.ResourceFailed):
    """A snapshot could not be read: the storage did not answer in time, refused, or failed."""


class SourceGone(SourceFailed):
    """A snapshot no longer exists, so what was read of it may be wrong."""


class TargetFailed(exception.ResourceFailed):
    """A volume could not be written: the storage did not answer in time, refused, is full, or failed."""


class CannotOpen(exception.ResourceFailed):
    """The storage or this host lacks what a driver needs, such as a program, a library, a share or a key."""
