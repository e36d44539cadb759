"""Volumes that Cinder exports by iSCSI: QEMU's client reads them in user space, so that nothing needs root."""

import re
import socket
from collections.abc import Mapping
from typing import Any, Final

from karbor_like.datapath import errors
from karbor_like.datapath.location import IscsiUnit

#: ``driver_volume_type`` of such volumes.
TYPE: Final = "iscsi"
_PORTAL: Final = re.compile(r"(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_NAME: Final = re.compile(r"(?:iqn|eui|naa)\.[0-9A-Za-z.:_-]{1,219}")


def initiator() -> str:
    """Return the name under which this host logs in: targets let in the name that Cinder was given."""
    host = re.sub(r"[^0-9a-z.-]", "-", socket.gethostname().lower())
    return f"iqn.2005-03.org.open-iscsi:karbor-like-{host}"


def unit_of(connection: Mapping[str, Any]) -> IscsiUnit:
    """Return the unit that Cinder names to a client which attaches a volume. Raises CannotOpen."""
    portal, target, lun = (connection.get(f"target_{name}") for name in ("portal", "iqn", "lun"))
    method = connection.get("auth_method")
    if (
        not isinstance(portal, str)
        or not _PORTAL.fullmatch(portal)
        or not isinstance(target, str)
        or not _NAME.fullmatch(target)
        or not isinstance(lun, int)
        or method not in (None, "CHAP")
    ):
        raise errors.CannotOpen(
            f"Cinder answered something unexpected about an iSCSI target: portal {portal!r:.100}, target {target!r:.300},"
            f" unit {lun!r:.20}, authentication {method!r:.20}"
        )
    if method is None:
        return IscsiUnit(portal, target, lun)
    return IscsiUnit(portal, target, lun, str(connection.get("auth_username")), str(connection.get("auth_password")))
