"""Inspection of the content of disks, as Glance and Cinder's file back ends do it."""

from collections.abc import Iterator
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from karbor_like.sandbox import files

HEAD = 64 * 1024
PARTITIONED = frozenset({"gpt"})


def inspect(path: Path) -> format_inspector.FileInspector | None:
    """Return the inspector of the disk format whose header a file has, or None for raw data with or without partitions."""
    with path.open("rb") as file:
        inspected = format_inspector.InspectWrapper(file)
        inspected.read(HEAD)
        inspected.close()
    found = [inspector for inspector in inspected.formats or () if str(inspector) not in ("raw", *PARTITIONED)]
    return found[0] if found else None


def refusal(path: Path, disk_format: str) -> str | None:
    """Return why Glance refuses a file as an image of a format, or None if it accepts it."""
    inspector = inspect(path)
    found = str(inspector or "raw")
    if disk_format not in ("raw", found):
        return f"Image disk_format {disk_format} does not match stream data {found}"
    try:
        if inspector:
            inspector.safety_check()
    except format_inspector.SafetyCheckFailed:
        return "Image failed safety checks"
    return None


def convert(path: Path) -> Iterator[bytes] | None:
    """Return what a file back end makes of a volume that looks like a disk image, or None if it copies the volume.

    :raises ValueError: the conversion fails
    """
    inspector = inspect(path)
    if inspector is None:
        return None
    if str(inspector) != "qcow2":
        raise ValueError(f"qemu-img: cannot convert {inspector}")
    return _zeros(inspector.virtual_size)


def _zeros(size: int) -> Iterator[bytes]:
    for start in range(0, size, files.CHUNK):
        yield files.ZEROS[: min(files.CHUNK, size - start)]
