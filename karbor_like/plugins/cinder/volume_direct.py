"""The plugin for volumes that reads snapshots, and writes new volumes, where they are stored.

Protect: 1. take a snapshot of the volume; 2. store what is allocated, or has changed since the last protect, in the bank;
3. store the metadata; 4. delete the snapshot, or keep it as a mark for the next protect. Restore: 1. create an empty volume,
2. attach it, 3. write the stored bytes, 4. detach it.

The options say how the bytes of the volumes of each host of Cinder can be reached. If none fits a volume, the steps of
:mod:`karbor_like.plugins.cinder.volume_glance` are taken instead. The checkpoints of both plugins are the same.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from oslo_config import cfg

from karbor_like.domain import resource
from karbor_like.domain.operation import OperationType
from karbor_like.plugins.cinder.direct.attached import AttachBackend
from karbor_like.plugins.cinder.direct.backend import Backend
from karbor_like.plugins.cinder.direct.ceph import CephBackend
from karbor_like.plugins.cinder.direct.plugin import DirectPlugin
from karbor_like.plugins.cinder.direct.protect import Protect
from karbor_like.plugins.cinder.direct.restore import Restore
from karbor_like.plugins.cinder.direct.share import ShareBackend
from karbor_like.plugins.cinder.objects import Snapshots, Volumes
from karbor_like.plugins.cinder.volume_data import OPTION_PROPERTIES, RESTORE_PROPERTIES, VolumeDataPlugin
from karbor_like.plugins.glance import data
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.protection import Schemas
from karbor_like.plugins.toolkit import quotas, transfer

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Direct Volume Protection Options",
    "type": "object",
    "properties": OPTION_PROPERTIES,
    "required": [],
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Direct Volume Protection Restore",
    "type": "object",
    "properties": RESTORE_PROPERTIES,
    "required": [],
}

SAVED_INFO_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Direct Volume Protection Saved Info",
    "type": "object",
    "properties": {},
    "required": [],
}

OPTIONS: Final = (
    transfer.seconds_per_gib("Cinder or Glance copies of a volume"),
    cfg.ListOpt(
        "backends",
        default=[],
        help="""
How the bytes of volumes are reached, by the host that Cinder shows to administrators, such as cinder@ceph#pool. Each
element is PATTERN:KIND or PATTERN:KIND=ARGUMENT; the first one counts whose pattern, with the wildcards * and ?, is that of
the host, with or without the part from # on. Hosts are known only if [service_auth] is configured; otherwise only the pattern
* fits.
""",
    ),
    cfg.StrOpt(
        "keep_mark",
        default="none",
        choices=[
            ("none", "each protect reads everything that is allocated"),
            ("cinder", "the snapshot of the last protect stays in Cinder, in the tenant's project and quota"),
            ("rbd", "a snapshot in Ceph, which Cinder does not know, is read and stays; nothing on other storage"),
        ],
        help="""
What is kept of a protect, so that the next one reads only what has changed since, where the storage can tell.
""",
    ),
    cfg.IntOpt(
        "full_every",
        default=30,
        min=0,
        help="""
Protects in a row that read only what has changed, after which one reads everything and compares: if the storage left out
changes, the checkpoint says so, and what the storage says is not believed any more. 0: never.
""",
    ),
    cfg.StrOpt(
        "fallback",
        default="glance",
        choices=[
            ("glance", "the volume is copied through an image, as by the plugin volume-glance"),
            ("error", "the operation fails"),
        ],
        help="""
What to do with a volume that no backend fits, or that this worker cannot reach.
""",
    ),
    cfg.StrOpt(
        "rbd_conf",
        default="/etc/ceph/ceph.conf",
        help="""
Configuration file of the Ceph cluster, for the kinds rbd and attach. It states where the keys of the users are.
""",
    ),
    cfg.StrOpt(
        "rbd_user",
        default="karbor-read",
        help="""
Ceph user who reads snapshots, without "client.". It should not be able to write.
""",
    ),
    cfg.StrOpt(
        "rbd_write_user",
        default="karbor-write",
        help="""
Ceph user who writes restored volumes, without "client.".
""",
    ),
    cfg.StrOpt(
        "rbd_map",
        default="exact",
        choices=[
            ("exact", "the snapshots of every object are listed"),
            ("fast", "object maps are trusted: all clients need the fix of https://tracker.ceph.com/issues/52109"),
        ],
        help="""
How changes of images in Ceph are found. The kind fast needs less than a second per TiB, exact half a minute.
""",
    ),
    cfg.IntOpt(
        "io_timeout",
        default=60,
        min=1,
        help="""
Time limit for each request to the storage, in seconds.
""",
    ),
)


class VolumeDirectProtection(DirectPlugin):
    """Stores volumes in the bank, and reads them where they are stored."""

    api_version = 1
    group = "volume_direct_plugin"
    options = OPTIONS
    schemas = {resource.VOLUME: Schemas(OPTIONS_SCHEMA, RESTORE_SCHEMA, SAVED_INFO_SCHEMA, data.VERIFY_SCHEMA)}
    operations = {
        **VolumeDataPlugin.operations,
        OperationType.PROTECT: Protect,
        OperationType.RESTORE: Restore,
    }
    creates = (Volumes, Snapshots, Images)
    quotas = (quotas.volume,)
    kinds: ClassVar[Mapping[str, type[Backend]]] = {
        each.kind: each for each in (CephBackend, ShareBackend, AttachBackend)
    }
