"""Devices of volumes that os-brick connects to this host, as root: the only module that uses os-brick, which is optional."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from karbor_like.datapath import device, errors
from karbor_like.datapath.contract import VolumeReader, VolumeWriter
from karbor_like.datapath.location import BlockDevice

_ROOT_HELPER: Final = "sudo"


def obstacle() -> str | None:
    """Return why devices cannot be connected on this host, a clause, or None."""
    if importlib.util.find_spec("os_brick") is None:
        return "os-brick is not installed on this host: install the extra 'attach'"
    return None


def connector() -> Mapping[str, Any]:
    """Return what os-brick knows of this host, such as the names of its initiators. Empty without os-brick."""
    if obstacle():
        return {}
    from os_brick.initiator import connector as brick

    found: dict[str, Any] = brick.get_connector_properties(_ROOT_HELPER, "", False, False)
    return {key: value for key, value in found.items() if value}


@contextmanager
def reader(connection: Mapping[str, Any], timeout: float) -> Iterator[VolumeReader]:
    """Connect a volume, open its device, and disconnect it at the end. Raises CannotOpen.

    :param connection: what Cinder answered when the volume was attached
    :param timeout: seconds for each read
    """
    with _connected(connection) as path, device.open_reader(BlockDevice(path), timeout=timeout) as opened:
        yield opened


@contextmanager
def writer(connection: Mapping[str, Any], timeout: float) -> Iterator[VolumeWriter]:
    """As :func:`reader`, for a new volume."""
    with _connected(connection) as path, device.open_writer(BlockDevice(path), timeout=timeout) as opened:
        yield opened


@contextmanager
def _connected(connection: Mapping[str, Any]) -> Iterator[Path]:
    kind, form = connection.get("driver_volume_type"), connection.get("format")
    if form not in (None, "raw"):
        # os-brick returns the path of the file, whose bytes are those of the format.
        raise errors.CannotOpen(
            f"a volume that Cinder attaches by {kind!r} in the format {form!r}: it is no device; configure the backend as"
            " PATTERN:remotefs=DIRECTORY"
        )
    if reason := obstacle():
        raise errors.CannotOpen(f"a volume that Cinder attaches by {kind!r}: {reason}")
    from os_brick import exception as brick_errors
    from os_brick.initiator import connector as brick

    try:
        client = brick.InitiatorConnector.factory(kind, _ROOT_HELPER, use_multipath=False)
        found = client.connect_volume(dict(connection))
    except brick_errors.BrickException as error:
        raise errors.CannotOpen(f"a volume that Cinder attaches by {kind!r}: {error}") from error
    try:
        yield Path(found["path"])
    finally:
        client.disconnect_volume(dict(connection), found)
