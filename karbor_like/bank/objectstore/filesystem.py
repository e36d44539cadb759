"""Objects as files below one directory: on a local disk, or on a shared file system that every host has mounted.

A key is the path of its file. A file is written in ``.tmp``, flushed to disk and renamed. So an object appears whole or not
at all, and survives a power failure. The rename also sets the time of the object. No segment of a key starts with a dot, so
that nothing in ``.tmp`` is mistaken for an object. Directories are opened one at a time, and never through a symbolic link.
The store refuses to follow a link, because objects that it hides would look deleted.

It needs from a file system: names of up to 255 bytes, ``rename`` over an existing file, ``fsync`` of files. It does not need
``fsync`` of directories, hard links, locks, modes, or names that differ only in case.
"""

import contextlib
import errno
import itertools
import os
import stat as modes
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base
from karbor_like.bank.objectstore.directory import Directories, Selection
from karbor_like.clock import Clock, SystemClock

_GROUP = "file_system_bank_plugin"
_OPTS = [
    cfg.StrOpt(
        "file_system_bank_path",
        help="""
Absolute path of the directory that contains the bank. It must exist. For a shared file system, it is the mount point, on
every host that runs the protection service. The services must own it, and no other user needs access.
""",
    ),
    cfg.BoolOpt(
        "file_system_bank_mounted",
        default=False,
        help="""
Whether file_system_bank_path is a mount point, so that the bank is unavailable while nothing is mounted there. Set it for NFS
and similar file systems: otherwise, the directory of an unmounted file system looks like an empty bank.
""",
    ),
    cfg.StrOpt(
        "bank_object_container",
        default="karbor",
        help="Directory below file_system_bank_path for the bank's objects. Created when it is first needed.",
    ),
]

_TEMPORARY: Final = ".tmp"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP})
_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EISDIR})
#: Answers of a file system that does not have an operation, or does not take a name.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EILSEQ})
#: Its limits that are too low: of the size of a file, and of the directories in a directory.
_LIMITS: Final = frozenset({errno.EFBIG, errno.EMLINK})
#: Answers of a file system whose own structures are damaged, which waiting does not repair.
_DAMAGED: Final = frozenset({errno.EUCLEAN, errno.EBADMSG})
# All others count as an outage of the bank. EIO too: a soft NFS mount, and file systems in user space, answer it if
# their server is unreachable. So does a disk with a defect, for which an operation waits until it is cancelled, and says so.
# That is the lesser evil: if EIO failed operations, each short outage of a network mount would undo the work of hours.

#: Maximum bytes of a path, and of a name in it, on Linux. A file system may take less.
_PATH_BYTES: Final = 4095
_NAME_BYTES: Final = 255

# How often a put recreates its directories after concurrent deletes removed them because they were empty.
_RACES: Final = 100

#: Seconds after which a file in ``.tmp`` is stale: no put takes a day.
STALE_AGE: Final = 86400.0


class FilesystemStore(base.ObjectStore):
    """Files below a directory.

    :param path: directory that exists
    :param container: name of the directory in it that holds the objects
    :param mounted: whether to raise ConnectionFailed while no file system is mounted at *path* itself
    :param clock: decides how long names in directories of the index are kept
    """

    options = {_GROUP: _OPTS}

    # Most of the time of reading a file is spent on copying memory, which more threads than processors do not speed up.
    requests_at_once = 2
    frees_room_at_once = True

    def __init__(
        self, path: str, container: str = "karbor", *, mounted: bool = False, clock: Clock | None = None
    ) -> None:
        self._path = path
        self._container = container
        self._mounted = mounted
        self._directories = Directories(clock or SystemClock())
        self._swept = threading.Event()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "FilesystemStore":
        group = conf[_GROUP]
        path, container = group.file_system_bank_path, group.bank_object_container
        if not path or not os.path.isabs(path):
            raise exception.ConfigurationError(
                f"[{_GROUP}] file_system_bank_path: {path!r} is not valid; expected the absolute path of a directory"
            )
        encoded = os.fsencode(path)
        if len(encoded) > _PATH_BYTES or max(map(len, encoded.split(b"/"))) > _NAME_BYTES:
            raise exception.ConfigurationError(
                f"[{_GROUP}] file_system_bank_path: {path[:200]!r}... is too long; a path has at most {_PATH_BYTES} bytes,"
                f" and each name in it {_NAME_BYTES}"
            )
        if not base.is_key(container) or "/" in container:
            raise exception.ConfigurationError(
                f"[{_GROUP}] bank_object_container: {container!r} is not valid; expected the name of one directory, of at"
                f" most {_NAME_BYTES} letters, digits and '_.@=:,+-'"
            )
        return cls(path, container, mounted=group.file_system_bank_mounted)

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        *folders, name = layout.check_key(key).split("/")
        buffers = base.pieces(data)
        if not self._swept.is_set():
            self._swept.set()
            self.remove_stale_uploads()
        with (
            self._writing(key),
            self._folder([_TEMPORARY], create=True) as temporary,
            _written(temporary, buffers) as temporary_name,
        ):
            self._rename(temporary, temporary_name, folders, name)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        base.check_range(start, length)
        with self._opened(key) as (fd, size):
            end = size if length is None else min(size, start + length)
            base.check_size(key, end - start)
            return _read(fd, start, max(0, end - start))

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        base.check_range(start, len(target))
        base.check_size(key, len(target))
        with self._opened(key) as (fd, size):
            length = max(0, min(size - start, len(target)))
            _read_into(fd, start, target[:length])
            return length

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, int]]:
        """Open the file of an object. Yields its descriptor and size."""
        *folders, name = layout.check_key(key).split("/")
        with self._reading(key), self._folder(folders) as folder:
            fd = os.open(name, _READ, dir_fd=folder)
            try:
                yield fd, _regular(os.fstat(fd)).st_size
            finally:
                os.close(fd)

    def stat(self, key: str) -> base.ObjectInfo:
        *folders, name = layout.check_key(key).split("/")
        with self._reading(key), self._folder(folders) as folder:
            return _info(key, os.stat(name, dir_fd=folder, follow_symlinks=False))

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        base.check_prefix(prefix)
        top = prefix[: prefix.rfind("/") + 1]
        with self._reading(prefix or "/"):
            self._check_mounted()
            # Not one more than that: for it, a directory could have to be read again.
            return list(itertools.islice(self._walk(top, Selection(prefix, marker, limit)), limit))

    def delete(self, key: str) -> None:
        *folders, name = layout.check_key(key).split("/")
        with self._reading(key):
            with self._folder(folders) as folder:
                _regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
                os.unlink(name, dir_fd=folder)
                _flush(folder)
            self._remove_empty(folders)

    def remove_stale_uploads(self, age: float = STALE_AGE) -> int:
        """Delete the files that crashed writers left in ``.tmp``. Returns how many. The first put calls this.

        :param age: seconds; younger files are kept. The clock of the file system counts: ages are compared with the time of
            the directory, which is set for this. On a full disk, a new file would not be possible
        """
        removed = 0
        with self._writing(_TEMPORARY), self._folder([_TEMPORARY], create=True) as folder:
            with contextlib.suppress(OSError):  # it then has the time of the last upload
                os.utime(folder)
            before = os.fstat(folder).st_mtime - age
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime <= before:
                        os.unlink(name, dir_fd=folder)
                        removed += 1
        return removed

    def _rename(self, temporary: int, temporary_name: str, folders: Sequence[str], name: str) -> None:
        for _ in range(_RACES):
            # A concurrent delete may remove a directory at any moment before it contains a file.
            with contextlib.suppress(FileNotFoundError), self._folder(folders, create=True) as folder:
                os.rename(temporary_name, name, src_dir_fd=temporary, dst_dir_fd=folder)
                _flush(folder)
                return
        raise FileNotFoundError(errno.ENOENT, "its directories were removed repeatedly", "/".join(folders))

    @contextlib.contextmanager
    def _folder(self, segments: Sequence[str], create: bool = False) -> Iterator[int]:
        """Open a directory of the store, and create its path on demand. No segment may be a symbolic link."""
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._mounted and os.fstat(fd).st_dev == os.stat("..", dir_fd=fd).st_dev:
                raise errors.ConnectionFailed(
                    f"{self._path}: nothing is mounted; mount the bank's file system, or correct"
                    f" [{_GROUP}] file_system_bank_path, which must be the mount point itself"
                )
            for segment in (self._container, *segments):
                child = _open_directory(fd, segment, create)
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    def _remove_empty(self, folders: Sequence[str]) -> None:
        for depth in range(len(folders), 0, -1):
            try:
                with self._folder(folders[: depth - 1]) as parent:
                    os.rmdir(folders[depth - 1], dir_fd=parent)
            except OSError:
                return  # it is not empty, or was removed concurrently

    def _walk(self, path: str, selection: Selection) -> Iterator[base.ObjectInfo]:
        """Yield the objects below directory *path* (empty, or ending with a slash), in order."""
        last = ""
        while True:
            try:
                with self._folder(path.split("/")[:-1]) as folder:
                    names = self._directories.first(folder, path, selection, last)
                    # Checks only these: a directory may hold a hundred thousand names, and a page reads all of them.
                    keys = [name for name in names if base.is_key(name.removesuffix("/"))]
                    infos = {name: _info_or_none(folder, name) for name in keys if not name.endswith("/")}
            except (FileNotFoundError, NotADirectoryError):
                return  # no key has this prefix, or all were deleted after the parent was read
            for name in keys:
                if name.endswith("/"):
                    yield from self._walk(name, selection)
                elif info := infos[name]:
                    yield info
            if len(names) < selection.limit:
                return
            last = names[-1]

    def _check_mounted(self) -> None:
        try:
            if modes.S_ISDIR(os.stat(self._path).st_mode):
                return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise errors.Unsuitable(
                    f"{self._path}: this path, or a name in it, is longer than its file system takes; correct [{_GROUP}]"
                    " file_system_bank_path"
                ) from error
        raise errors.ConnectionFailed(f"{self._path}: is not a directory; check that its file system is mounted")

    @contextlib.contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOENT, *_IN_THE_WAY):
                self._check_mounted()
                raise errors.ObjectNotFound(f"there is no object {key}") from None
            raise self._bank_error(key, error) from error

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _IN_THE_WAY:
                raise errors.InvalidKey(
                    f"{key}: a part of this path is a file, or the whole path is a directory"
                ) from error
            raise self._bank_error(key, error) from error

    def _bank_error(self, key: str, error: OSError) -> errors.BankError:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            self._check_mounted()
        message = f"{os.path.join(self._path, self._container)}: {key}: {error.strerror}"
        if error.errno == errno.ENAMETOOLONG:
            limit, longest = os.statvfs(self._path).f_namemax, max((self._container, *key.split("/")), key=len)
            return errors.Unsuitable(
                f"{message}: {longest!r} has {len(longest)} bytes, and names on this file system have at most {limit}; a bank"
                f" needs {_NAME_BYTES}, so move it to another file system"
            )
        if error.errno in _UNSUPPORTED | _LIMITS or error.errno == errno.EEXIST:
            return errors.Unsuitable(
                f"{message}; the file system does not do what a bank needs, so move it to another one"
            )
        if error.errno in _FULL:
            return errors.BankFull(f"{message}; free space or raise the quota")
        if error.errno == errno.EROFS:
            return errors.AccessDenied(f"{message}; nothing can be written while it is mounted read-only")
        if error.errno in _DENIED:
            return errors.AccessDenied(
                f"{message}; the service must own the directory, which must not contain symbolic links"
            )
        if error.errno in _DAMAGED:
            return errors.BankError(f"{message}; check and repair the file system")
        return errors.ConnectionFailed(message)


def _open_directory(parent: int, name: str, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    except NotADirectoryError:
        _regular_or_folder(os.stat(name, dir_fd=parent, follow_symlinks=False))
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    _flush(parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _flush(folder: int) -> None:
    """Flush an open directory to disk, if its file system can: SMB and some FUSE file systems cannot."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


@contextlib.contextmanager
def _written(folder: int, buffers: Sequence[base.Buffer]) -> Iterator[str]:
    """Write *buffers* to a new file in *folder* and flush it to disk. Yields its name. Deletes it unless it was renamed."""
    name = uuid.uuid4().hex
    try:
        with open(os.open(name, _WRITE, 0o600, dir_fd=folder), "wb") as file:
            file.writelines(buffers)
            file.flush()
            os.fsync(file.fileno())
        yield name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)


def _read(fd: int, start: int, length: int) -> bytes:
    chunks = []
    while length > 0:
        chunk = os.pread(fd, length, start)
        if not chunk:
            raise OSError(errno.EIO, "the file is shorter than its size")
        chunks.append(chunk)
        start += len(chunk)
        length -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _read_into(fd: int, start: int, target: memoryview) -> None:
    while target:
        length = os.preadv(fd, [target], start)
        if not length:
            raise OSError(errno.EIO, "the file is shorter than its size")
        start += length
        target = target[length:]


def _regular_or_folder(status: os.stat_result) -> os.stat_result:
    if modes.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link")
    return status


def _regular(status: os.stat_result) -> os.stat_result:
    if not modes.S_ISREG(_regular_or_folder(status).st_mode):
        raise OSError(errno.EISDIR, "is not a file")
    return status


def _modified(status: os.stat_result) -> datetime:
    # The last write sets the mtime, but a put may be suspended between it and the rename, which sets the ctime.
    return datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), UTC)


def _info(key: str, status: os.stat_result) -> base.ObjectInfo:
    return base.ObjectInfo(key, _regular(status).st_size, _modified(status))


def _info_or_none(folder: int, key: str) -> base.ObjectInfo | None:
    try:
        status = os.stat(key.rpartition("/")[2], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None  # deleted after the directory was read
    return _info(key, status) if modes.S_ISREG(_regular_or_folder(status).st_mode) else None
