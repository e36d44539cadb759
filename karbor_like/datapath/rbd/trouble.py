"""Errors of Ceph, in the terms of the data path."""

import errno
import os
from typing import Final

from karbor_like import exception
from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage

_REFUSED: Final = (errno.EPERM, errno.EACCES)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MISSING: Final = (errno.ENOENT, errno.ENXIO)


def translate(
    number: int | None,
    image: RbdImage,
    doing: str,
    *,
    failed: type[exception.ResourceFailed] = errors.SourceFailed,
    refused: type[exception.ResourceFailed] = errors.CannotOpen,
    detail: str = "",
) -> exception.ResourceFailed:
    """Return the error to raise when Ceph failed with an error number.

    :param number: as in :mod:`errno`, positive; ETIMEDOUT also if there was no answer at all; None if unknown
    :param doing: what was tried, such as "reading"
    :param failed: class of most errors; :class:`.errors.TargetFailed` when writing
    :param refused: class of the error if the user may not do this
    :param detail: what the library or command said, if there is no number for it
    """
    start = f"{image}: {doing}"
    if number == errno.ETIMEDOUT:
        return failed(
            f"{start}: Ceph did not answer in time; see 'ceph health', and whether this host reaches the monitors and OSDs"
        )
    if number in _REFUSED:
        profile = "rbd" if failed is errors.TargetFailed else "rbd-read-only"
        return refused(
            f"{start}: Ceph refuses client.{image.user}; check its keyring on this host, and that it has the capabilities"
            f" mon 'profile rbd', osd 'profile {profile} pool={image.pool}'"
        )
    if number in _MISSING:
        gone = errors.SourceGone if failed is errors.SourceFailed else failed
        return gone(f"{start}: does not exist; check the names of pool, image and snapshot")
    if number in _FULL:
        return failed(f"{start}: pool {image.pool} is full or has reached its quota; see 'ceph df'")
    if number == errno.ESHUTDOWN:
        return failed(f"{start}: Ceph has cut off this client, because another one took over the image")
    reason = os.strerror(number) if number else detail
    return failed(f"{start}: {reason or 'unknown error'}; the log of Ceph may have the reason")


def no_pool(image: RbdImage) -> errors.CannotOpen:
    """Return the error to raise when the pool does not exist."""
    return errors.CannotOpen(f"{image}: Ceph has no pool {image.pool}; check its name")


def require_conf(image: RbdImage) -> None:
    """Raise CannotOpen unless the cluster's configuration can be read."""
    if not os.access(image.conf, os.R_OK):
        raise errors.CannotOpen(
            f"{image}: {image.conf} is missing or cannot be read; install the configuration of the Ceph cluster on this host"
        )
