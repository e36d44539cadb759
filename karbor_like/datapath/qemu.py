"""Volumes that a child process ``qemu-nbd`` serves to this process alone: one child and one connection per volume.

A crash of a storage library ends the child and not this process. The child gets a listening socket to which this process is
already connected and which has no name any more, so no other process can connect, and nothing is left on disk.

The child ends with this process, even if that is killed:

* It exits when its only connection ends. While it waits for storage, it does not notice.
* The kernel kills it (``PR_SET_PDEATHSIG``, set by setpriv). That signal is sent when the *thread* that started the child
  ends, so one thread, which lives as long as the process, starts all children. A shell between them checks that the parent
  still lives, because the kernel does not notify children of parents that died before the call.

Secrets are passed in unnamed files in memory: the arguments and the environment of a process are public on its host.
"""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from oslo_log import log

from karbor_like import exception
from karbor_like.datapath.contract import Extent, Mark, VolumeReader, VolumeWriter
from karbor_like.datapath.errors import CannotOpen, SourceFailed, TargetFailed
from karbor_like.datapath.handshake import printable
from karbor_like.datapath.nbd import ALLOCATION, DEPTH, Client

LOG = log.getLogger(__name__)

#: Formats that may be served. A format is never detected, because tenants write what is inside.
_FORMATS: Final = ("raw", "qcow2")
#: Descriptors of files that the child opens, so that they do not collide with the standard ones and the socket.
_LOWEST_DESCRIPTOR: Final = 20
#: Makes the socket on standard input the first one that systemd would pass. $0 is the parent.
_SCRIPT: Final = """\
test "$PPID" = "$0" || exit 1
exec 3<&0 </dev/null
export LISTEN_PID=$$ LISTEN_FDS=1
exec "$@"
"""
#: Seconds that the child has to exit after its connection was closed, or after SIGKILL.
_EXIT_SECONDS: Final = 5.0

_starter: ThreadPoolExecutor | None = None
_starter_lock = threading.Lock()


@dataclass(frozen=True)
class Image:
    """What qemu opens.

    :param what: name of the volume, for errors
    :param options: as of qemu's ``--blockdev``, nested. ``driver`` is the format
    :param secrets: by the ids that *options* refer to
    :param files: descriptors that *options* name (:func:`descriptor_path`), from :func:`open_file`
    """

    what: str
    options: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Sequence[int] = ()


class Server:
    """A child that serves an image, and the connection to it.

    :param image: its files can be closed afterwards
    :param timeout: seconds per request, and until the image must be open
    :param failed: class of errors of requests
    :param contexts: of maps
    :raises CannotOpen: qemu is not installed, or cannot open the image within the time
    """

    def __init__(
        self,
        image: Image,
        *,
        read_only: bool,
        timeout: float,
        failed: type[exception.ResourceFailed],
        contexts: Sequence[str] = (ALLOCATION,),
    ) -> None:
        self._what = image.what
        self._timeout = timeout
        self._secrets = list(image.secrets.values())
        flags = ["--read-only"] if read_only else ["--discard=unmap"]
        flags += ["--allocation-depth"] if DEPTH in contexts else []
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self._start(image, flags))
            except OSError as error:
                raise CannotOpen(f"{image.what}: qemu-nbd cannot be started: {error.strerror or error}") from None
            try:
                self.client = Client(connection, image.what, timeout=timeout, failed=failed, contexts=contexts)
            except failed as error:
                self._end(min(1.0, timeout))
                raise CannotOpen(f"{image.what}: cannot be opened: {self._stderr() or error.message}") from None
            stack.pop_all()

    @property
    def pid(self) -> int:
        """The child."""
        return self._process.pid

    def close(self) -> None:
        """End the connection and the child. Idempotent."""
        self.client.close()
        if self._process.returncode is None:
            self._end(min(_EXIT_SECONDS, self._timeout))
            if text := self._stderr():
                LOG.info("%s: qemu-nbd said: %s", self._what, text)

    def _start(self, image: Image, flags: Sequence[str]) -> socket.socket:
        """Start the child. Returns a connected socket."""
        if image.options.get("driver") not in _FORMATS:
            raise CannotOpen(f"{image.what}: a format is not stated")
        programs = [_program(name) for name in ("setpriv", "sh", "qemu-nbd")]
        with ExitStack() as stack:
            connection, listener = _pair()
            failing = stack.enter_context(ExitStack())
            failing.callback(connection.close)
            stack.enter_context(listener)
            secrets = list[str]()
            descriptors = list(image.files)
            for name, value in image.secrets.items():
                descriptors.append(_memory_file(value))
                stack.callback(os.close, descriptors[-1])
                secrets += ["--object", f"secret,id={name},file={descriptor_path(descriptors[-1])}"]
            argv = [programs[0], "--pdeathsig", "KILL", "--", programs[1], "-c", _SCRIPT, str(os.getpid()), programs[2]]
            # The driver in the options is the format, so qemu detects none.
            self._argument = "json:" + json.dumps(image.options)
            argv += [*secrets, *flags, self._argument]
            # A child that prints more than fits into the pipe does not wait: what it prints is lost.
            self._messages, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, writable)
            failing.callback(os.close, self._messages)
            self._process = _spawn(
                argv,
                stdin=listener.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=writable,
                pass_fds=descriptors,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
            )
            failing.pop_all()
        return connection

    def _end(self, seconds: float) -> None:
        """Wait for the end of the child, and kill it if it takes longer."""
        for limit in (seconds, _EXIT_SECONDS):
            try:
                self._process.wait(limit)
                return
            except subprocess.TimeoutExpired:
                self._process.kill()
        LOG.warning("%s: process %d does not end, although it was killed", self._what, self._process.pid)

    def _stderr(self) -> str:
        """Return what the child printed. Can be called once, after its end."""
        text = ""
        with suppress(OSError):
            text = os.read(self._messages, 65536).decode(errors="replace")
        os.close(self._messages)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        # What follows in the text is the reason; the rest is for those who typed the options.
        return printable(
            text.strip().removeprefix("qemu-nbd: ").removeprefix(f"Failed to blk_new_open '{self._argument}': ")
        )


class ServedReader(VolumeReader):
    """A reader of an image that qemu serves. A driver adds what it can tell about changes, and :meth:`confirm`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __enter__(self) -> Self:
        return self

    @property
    def size(self) -> int:
        return self.server.client.size

    def allocated(self) -> Iterable[Extent]:
        return self.server.client.allocated()

    def changed(self, mark: Mark) -> Iterable[Extent] | None:
        return None

    def read(self, offset: int, length: int) -> Future[bytes]:
        return self.server.client.read(offset, length)

    def confirm(self) -> None:
        self.server.client.check()

    def mark(self) -> Mark | None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()


class ServedWriter(VolumeWriter):
    """A writer of an image that qemu serves."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __enter__(self) -> Self:
        return self

    @property
    def size(self) -> int:
        return self.server.client.size

    def write(self, offset: int, data: memoryview) -> None:
        self.server.client.write(offset, data)

    def flush(self) -> None:
        self.server.client.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()


def serve_reader(image: Image, *, timeout: float, contexts: Sequence[str] = (ALLOCATION,)) -> Server:
    """Serve an image that is read only."""
    return Server(image, read_only=True, timeout=timeout, failed=SourceFailed, contexts=contexts)


def serve_writer(image: Image, *, timeout: float) -> Server:
    """Serve an image that can be written."""
    return Server(image, read_only=False, timeout=timeout, failed=TargetFailed)


def open_file(path: Path, flags: int) -> int:
    """Open a file for the child. Symbolic links are not followed. The caller closes the descriptor."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    finally:
        os.close(descriptor)


def descriptor_path(descriptor: int) -> str:
    """Return the name by which the child opens a file: the same one, even if another has got its name meanwhile."""
    return f"/proc/self/fd/{descriptor}"


def _memory_file(text: str) -> int:
    """Write *text* into an unnamed file in memory."""
    descriptor = os.memfd_create("secret")
    try:
        os.write(descriptor, text.encode())
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    finally:
        os.close(descriptor)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Return a socket, and the listening one that it is connected to and that no other process can reach."""
    listener, connection = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2))
    try:
        with tempfile.TemporaryDirectory(prefix="nbd-") as directory:  # accessible to this account only
            parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # Names of sockets are at most 107 bytes long; those of directories are not.
                name = f"{descriptor_path(parent)}/socket"
                listener.bind(name)
                listener.listen(1)
                connection.connect(name)
            finally:
                os.close(parent)
    except BaseException:
        listener.close()
        connection.close()
        raise
    return connection, listener


def _spawn(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a child in a thread that lives as long as this process."""
    global _starter
    with _starter_lock:
        _starter = _starter or ThreadPoolExecutor(1, "spawner")
    return _starter.submit(lambda: subprocess.Popen(argv, **options)).result()  # noqa: S603 - no shell input


def _forget_starter() -> None:
    """A forked process has the pool, but not its thread."""
    global _starter, _starter_lock
    _starter, _starter_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_starter)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise CannotOpen(f"{name} is not installed on this host; it is part of QEMU's or the system's utilities")
    return path
