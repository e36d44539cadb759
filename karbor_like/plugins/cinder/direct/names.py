"""Names of images and files of volumes: from Cinder's answers only, and in the form that Cinder gives them."""

import re
from typing import Any, Final

from karbor_like.datapath import errors

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID: Final = re.compile(_UUID)
_VOLUME: Final = re.compile(rf"volume-({_UUID})")
#: Cinder calls the file above a snapshot after the file of the volume and the snapshot.
_FILE: Final = re.compile(rf"volume-({_UUID})(?:\.{_UUID})?")
_POOL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def stored_id(volume: Any) -> str:
    """Return the id by which the storage calls a volume: after a migration it is that of another, former volume.

    :param volume: as administrators see it
    """
    found = getattr(volume, "os-vol-mig-status-attr:name_id", None) or volume.id
    return _checked(_ID, found, "id of a volume")


def of_volume(volume_id: str) -> str:
    """Return the name of the image, or of the first file, of a volume."""
    return f"volume-{_checked(_ID, volume_id, 'id of a volume')}"


def of_snapshot(snapshot_id: str) -> str:
    """Return the name of a snapshot in the storage."""
    return f"snapshot-{_checked(_ID, snapshot_id, 'id of a snapshot')}"


def pool(name: object) -> str:
    """Return the name of a pool. Raises CannotOpen if it has another form."""
    return _checked(_POOL, name, "name of a pool")


def volume_file(name: object, stored: str) -> str:
    """Return the name of a file of the volume that the storage calls *stored*, or raise CannotOpen."""
    found = _checked(_FILE, name, "name of a file of a volume")
    match = _FILE.fullmatch(found)
    if match is None or match[1] != stored:
        raise errors.CannotOpen(f"file {found}: it does not belong to volume {stored}")
    return found


def volume_image(name: object, stored: str) -> str:
    """Return the name of the image of the volume that the storage calls *stored*, or raise CannotOpen."""
    found = _checked(_VOLUME, name, "name of an image of a volume")
    if found != of_volume(stored):
        raise errors.CannotOpen(f"image {found}: it does not belong to volume {stored}")
    return found


def _checked(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise errors.CannotOpen(f"{str(value)[:200]!r} is no {what}: Cinder answered something unexpected")
    return value
