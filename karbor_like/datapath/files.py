"""Volumes in files of a mounted share, such as those of Cinder's NFS driver: raw, or qcow2 with a chain of files below.

A snapshot is a file below another one, its overlay. It does not change any more. What changed between two snapshots is what
the files above the older one contain. If the older snapshot is deleted, its overlay is merged into it. Then its file has
another modification time and is no longer what the mark names.

All files are opened here and passed to QEMU as descriptors, with a stated format each. So QEMU opens no name that a header or
a symbolic link states, and it serves the files that were checked.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, get_args

from karbor_like.datapath import qcow2, qemu
from karbor_like.datapath.contract import Extent, Mark
from karbor_like.datapath.errors import CannotOpen, SourceFailed, SourceGone
from karbor_like.datapath.location import FileFormat, ImageFile
from karbor_like.datapath.nbd import ALLOCATION, DEPTH
from karbor_like.datapath.pool import limited

KIND: Final = "file"
_FORMATS: Final = get_args(FileFormat)
_MOST_FILES: Final = 100
_PROTOCOL: Final = re.compile(r"[A-Za-z0-9+.-]+:")


@dataclass(frozen=True)
class State:
    """What identifies the content of a file. Device numbers are left out: they differ between hosts."""

    inode: int
    modified: int  # nanoseconds
    length: int

    @classmethod
    def of(cls, descriptor: int) -> Self:
        status = os.fstat(descriptor)
        return cls(status.st_ino, status.st_mtime_ns, status.st_size)


@dataclass(frozen=True)
class OpenFile:
    """A file of a chain.

    :param name: path within the share
    :param size: bytes of the volume, of which the file may contain a part
    """

    path: Path
    name: str
    format: str
    descriptor: int
    state: State
    size: int

    def mark(self) -> dict[str, Any]:
        """Return the part of a mark that identifies this file and its content."""
        state = self.state
        return {
            "kind": KIND,
            "file": self.name,
            "inode": state.inode,
            "modified": state.modified,
            "length": state.length,
            "size": self.size,
        }


class FileReader(qemu.ServedReader):
    """A reader of a chain of files.

    :param chain: from the top down; the reader closes the descriptors
    :param overlay: name of the file above the chain, if known
    """

    def __init__(
        self, server: qemu.Server, location: ImageFile, chain: Sequence[OpenFile], overlay: str | None, timeout: float
    ) -> None:
        super().__init__(server)
        self._location = location
        self._chain = chain
        self._overlay = overlay
        self._timeout = timeout

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        if not isinstance(mark, Mapping) or "overlay" not in mark:
            return None
        below = {key: value for key, value in mark.items() if key != "overlay"}
        depth = next((depth for depth, file in enumerate(self._chain) if file.mark() == below), None)
        if depth is None:
            return None
        if depth == 0:
            return []
        if mark["overlay"] is not None and mark["overlay"] != self._chain[depth - 1].name:
            return None
        sizes = [file.size for file in self._chain[: depth + 1]]
        # A volume that shrank and grew again reads as zero, without an entry in the files above, where it had data before.
        if DEPTH not in self.server.client.contexts or sizes != sorted(sizes, reverse=True):
            return None
        return self.server.client.stored_above(depth)

    def mark(self) -> Mark | None:
        return self._chain[0].mark() | {"overlay": self._overlay}

    def confirm(self) -> None:
        super().confirm()
        what = str(self._location)
        limited(self._compare, what, "check of the files", timeout=self._timeout, failed=SourceFailed)

    def _compare(self) -> None:
        """Raise SourceGone unless all files are still the ones that were opened, with the same content."""
        for file in self._chain:
            try:
                # Opening a file on NFS fetches its attributes; the call of stat may return old ones.
                descriptor = qemu.open_file(file.path, os.O_RDONLY)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR):
                    raise SourceGone(f"{self._location}: {file.name} no longer exists") from None
                raise
            try:
                if State.of(descriptor) != file.state:
                    raise SourceGone(f"{self._location}: {file.name} was changed or replaced while it was read")
            finally:
                os.close(descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        _close(self._chain)
        self._chain = ()


def open_reader(location: ImageFile, *, timeout: float, overlay: str | None = None) -> FileReader:
    """Open a file, and those below it.

    :param overlay: name of the file above, if known. A later reader compares it with its own chain
    :raises CannotOpen: a file is missing or outside the share, the format of a file is not stated or wrong, or QEMU failed
    """
    chain = _open_chain(location, os.O_RDONLY, timeout)
    try:
        image = _image(location, chain, read_only=True)
        server = qemu.serve_reader(image, timeout=timeout, contexts=(ALLOCATION, DEPTH))
    except BaseException:
        _close(chain)
        raise
    return FileReader(server, location, chain, overlay, timeout)


def open_writer(location: ImageFile, *, timeout: float) -> qemu.ServedWriter:
    """Open a file of a new volume, which has no other file below it.

    :raises CannotOpen: as :func:`open_reader`, or the file has one below it, or is qcow2 and another client has locked it
    """
    chain = _open_chain(location, os.O_RDWR, timeout)
    try:
        if len(chain) > 1:
            raise CannotOpen(f"{location}: has {chain[1].name} below it, so it is not a new volume")
        return qemu.ServedWriter(qemu.serve_writer(_image(location, chain, read_only=False), timeout=timeout))
    finally:
        _close(chain)


def _open_chain(location: ImageFile, flags: int, timeout: float) -> Sequence[OpenFile]:
    """Open a file and those below it, from the top down."""
    chain = list[OpenFile]()

    def fill() -> None:
        share = location.share.resolve(strict=True)
        path, format_ = share / location.name, str(location.format)
        while True:
            file, below = _open(location, share, path, format_, flags)
            chain.append(file)
            if below is None:
                return
            if len(chain) == _MOST_FILES or any(file.state.inode == other.state.inode for other in chain[:-1]):
                raise CannotOpen(f"{location}: a chain of too many files, or without an end")
            path, format_ = below

    try:
        limited(fill, str(location), "open", timeout=timeout, failed=CannotOpen)
    except CannotOpen:
        # After a timeout the thread may still open a file; then its descriptor is lost, like the thread.
        _close(chain)
        raise
    return chain


def _open(
    location: ImageFile, share: Path, path: Path, format_: str, flags: int
) -> tuple[OpenFile, tuple[Path, str] | None]:
    """Open one file. Returns it with the path and the format of the one below."""
    if format_ not in _FORMATS:
        raise CannotOpen(f"{location}: format {format_} of {path.name} is not supported; {' or '.join(_FORMATS)} are")
    stated = path.name
    try:
        path = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise CannotOpen(f"{location}: {stated} does not exist") from None
    if not path.is_relative_to(share):
        raise CannotOpen(f"{location}: {stated} is outside the share")
    if not stat.S_ISREG(path.stat().st_mode):
        raise CannotOpen(f"{location}: {stated} is not a file")
    name = str(path.relative_to(share))
    descriptor = qemu.open_file(path, flags)
    try:
        state = State.of(descriptor)
        if format_ == "raw":
            return OpenFile(path, name, format_, descriptor, state, state.length), None
        header = qcow2.read_header(descriptor)
        file = OpenFile(path, name, format_, descriptor, state, header.size)
        return file, _below(location, path, header)
    except qcow2.BadHeader as error:
        os.close(descriptor)
        raise CannotOpen(f"{location}: {name}: {error}") from None
    except BaseException:
        os.close(descriptor)
        raise


def _below(location: ImageFile, path: Path, header: qcow2.Header) -> tuple[Path, str] | None:
    """Return path and format of the file below."""
    if header.backing is None:
        return None
    if _PROTOCOL.match(header.backing):
        raise CannotOpen(f"{location}: {path.name} names something else than a file below it")
    if header.backing_format is None:
        # QEMU would detect it from bytes that the tenant wrote.
        raise CannotOpen(f"{location}: {path.name} does not state the format of the file below it")
    return path.parent / header.backing, header.backing_format


def _image(location: ImageFile, chain: Sequence[OpenFile], *, read_only: bool) -> qemu.Image:
    options: dict[str, Any] | None = None
    for file in reversed(chain):
        protocol = {"driver": "file", "filename": qemu.descriptor_path(file.descriptor)}
        described: dict[str, Any] = {"driver": file.format, "file": protocol}
        if file.format == "qcow2":
            # Also if there is none: so the name in the header is not used.
            described["backing"] = options
        options = described
    assert options is not None
    if read_only:
        # Another client may hold locks, and reading needs none: the files do not change.
        options["force-share"] = True
    return qemu.Image(str(location), options, files=[file.descriptor for file in chain])


def _close(chain: Sequence[OpenFile]) -> None:
    for file in chain:
        os.close(file.descriptor)
