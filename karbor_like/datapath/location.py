"""Where the bytes of volumes are. A plugin makes locations of Cinder's answers only; a driver opens them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: Formats that files of volumes have. A format is always stated and never detected, because tenants write what is inside.
FileFormat = Literal["raw", "qcow2"]


@dataclass(frozen=True)
class RbdImage:
    """An image in Ceph, or a snapshot of it.

    :param conf: path of the cluster's configuration file
    :param user: name of the Ceph user, without ``client.``
    :param snapshot: name; None for the image itself
    """

    conf: Path
    user: str
    pool: str
    image: str
    snapshot: str | None = None

    def __str__(self) -> str:
        return f"RBD image {self.pool}/{self.image}" + (f"@{self.snapshot}" if self.snapshot else "")


@dataclass(frozen=True)
class ImageFile:
    """A file of a volume on a mounted share.

    :param share: directory at which the share is mounted; the whole chain of files must be in it
    :param name: of the file within *share*
    """

    share: Path
    name: str
    format: FileFormat

    def __str__(self) -> str:
        return f"{self.format} file {self.name}"


@dataclass(frozen=True)
class IscsiUnit:
    """A logical unit of an iSCSI target.

    :param portal: address and port
    :param user: name for CHAP; None: no authentication
    """

    portal: str
    target: str
    lun: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"iSCSI target {self.target}, unit {self.lun}"


@dataclass(frozen=True)
class BlockDevice:
    """A block device of this host, or a file used as one.

    :param path: such as ``/dev/sdb``
    """

    path: Path

    def __str__(self) -> str:
        return f"device {self.path}"
