"""Errors of the data path. Their messages are for operators: they name hosts, users and paths."""

from typing import ClassVar

from karbor_like import exception


class SourceFailed(exception.ResourceFailed):
    """A snapshot could not be read: the storage did not answer in time, refused, or failed."""

    public: ClassVar[str | None] = (
        "the storage failed while the snapshot of the volume was read; the log of the service has the reason"
    )


class SourceGone(SourceFailed):
    """A snapshot no longer exists, so what was read of it may be wrong."""

    public = "the snapshot of the volume was removed while it was read; protect the volume again"


class TargetFailed(exception.ResourceFailed):
    """A volume could not be written: the storage did not answer in time, refused, is full, or failed."""

    public = "the storage failed, or is full, while the volume was written; the log of the service has the reason"


class CannotOpen(exception.ResourceFailed):
    """The storage or this host lacks what a driver needs, such as a program, a library, a share or a key."""

    public: ClassVar[str | None] = (
        "the service cannot reach the volume where it is stored; the log of the service has the reason"
    )
