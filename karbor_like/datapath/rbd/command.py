"""Access to images with the commands rbd and ceph, for hosts whose Python has no bindings of Ceph.

No argument is secret: the commands find the user's key through the configuration of the cluster.
"""

import errno
import json
import math
import os
import re
import subprocess  # noqa: S404 - without a shell, and with separate arguments
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from karbor_like import exception
from karbor_like.datapath import errors
from karbor_like.datapath.location import RbdImage
from karbor_like.datapath.rbd import trouble
from karbor_like.datapath.rbd.access import Description, Difference, Snapshot

#: The most bytes that a command may answer: descriptions, and maps, which have about 50 bytes per extent.
_MOST_BYTES: Final = 16 << 20
_MOST_MAP_BYTES: Final = 1 << 30
_PIECE_BYTES: Final = 1 << 20
#: Bytes of an image for which a map gets one more second: a tenth of what Ceph managed on slow machines.
_BYTES_PER_SECOND: Final = 4 << 30
#: How rbd ends its messages about errors.
_NUMBER: Final = re.compile(r"\((\d+)\) [A-Z]")
#: Extents of a map, and what is between them.
_EXTENT: Final = re.compile(rb'[\s\[,]*\{"offset":(\d{1,19}),"length":(\d{1,19}),"exists":"(true|false)"\}')
_FLAGS: Final = {"object map invalid", "fast diff invalid"}
#: Ids of clusters by their configuration: its path, and when it was changed.
_FSIDS: Final[dict[tuple[Path, int], str]] = {}


class CommandAccess:
    """Implements what :class:`.access.Access` has, except for the bytes.

    :raises CannotOpen: a command or the configuration is missing
    """

    def __init__(self, location: RbdImage, *, timeout: float) -> None:
        self.location = location
        self.timeout = timeout
        trouble.require_conf(location)

    def fsid(self) -> str:
        trouble.require_conf(self.location)
        # A cluster keeps its id, and its configuration is another file or is rewritten if that describes another cluster.
        key = (self.location.conf, self.location.conf.stat().st_mtime_ns)
        if key not in _FSIDS:
            # This command costs more than all others together.
            _FSIDS[key] = self._run("connecting", ["ceph", *self._common(), "fsid"]).decode().strip()
        return _FSIDS[key]

    def describe(self) -> Description:
        info = self._info()
        # By the id, because another image may get the name in between.
        found = self._rbd("opening", "snap", "ls", "--all", f"--pool={self.location.pool}", f"--image-id={info['id']}")
        snapshots = [
            Snapshot(each["id"], each["name"], each["size"], each["namespace"]["type"] == "user") for each in found
        ]
        return Description(
            info["id"],
            info["size"],
            sorted(snapshots, key=lambda snapshot: snapshot.id),
            {"object-map", "fast-diff"} <= set(info["features"]),
        )

    def exact(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        return self._differences(snapshot, base)

    def fast(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Difference]:
        # The command does not compare parts of an image, so whole objects are the answer.
        return self._differences(snapshot, base, "--whole-object")

    def _differences(self, snapshot: Snapshot, base: Snapshot | None, *options: str) -> Iterator[Difference]:
        since = [f"--from-snap={base.name}"] if base else []
        argv = ["rbd", *self._common(), "diff", "--format=json", *options, *since, *self._image(snapshot.name)]
        seconds = self.timeout + snapshot.size / _BYTES_PER_SECOND
        with self._output("mapping", argv, seconds, _MOST_MAP_BYTES) as output:
            yield from self._parse(output)

    def _parse(self, output: IO[bytes]) -> Iterator[Difference]:
        text = b""
        while piece := output.read(_PIECE_BYTES):
            text += piece
            at = 0
            while found := _EXTENT.match(text, at):
                yield Difference(int(found[1]), int(found[2]), found[3] == b"true")
                at = found.end()
            text = text[at:]
            if len(text) > _PIECE_BYTES:
                break
        if text.strip() not in (b"]", b"[]"):
            raise errors.SourceFailed(f"{self.location}: mapping: rbd answered something else than a list of extents")

    def maps_valid(self, snapshots: Sequence[Snapshot]) -> bool:
        names = [None, *(snapshot.name for snapshot in snapshots)]
        return not any(_FLAGS & set(self._info(name)["flags"]) for name in names)

    def parent(self) -> RbdImage | None:
        spec = self._info().get("parent")
        if spec is None:
            return None
        return RbdImage(self.location.conf, self.location.user, spec["pool"], spec["image"], spec["snapshot"])

    def watchers(self) -> Sequence[str]:
        found = self._rbd("listing the clients", "status", *self._image())["watchers"]
        return [str(watcher["address"]) for watcher in found]

    def create_snapshot(self, name: str) -> None:
        argv = ["rbd", *self._common(), "snap", "create", "--no-progress", *self._image(name)]
        self._run("creating a snapshot", argv, errors.TargetFailed, ignored=errno.EEXIST)

    def remove_snapshot(self, name: str) -> None:
        argv = ["rbd", *self._common(), "snap", "rm", "--no-progress", *self._image(name)]
        self._run("removing a snapshot", argv, errors.TargetFailed, ignored=errno.ENOENT)

    def close(self) -> None:
        """Nothing is connected."""

    def _image(self, snapshot: str | None = None) -> list[str]:
        location = self.location
        names = [f"--pool={location.pool}", f"--image={location.image}"]
        return [*names, f"--snap={snapshot}"] if snapshot is not None else names

    def _common(self) -> list[str]:
        seconds = math.ceil(self.timeout)
        return [
            f"--conf={self.location.conf}",
            f"--id={self.location.user}",
            f"--client-mount-timeout={seconds}",
            f"--rados-mon-op-timeout={seconds}",
            f"--rados-osd-op-timeout={seconds}",
        ]

    def _info(self, snapshot: str | None = None) -> Mapping[str, Any]:
        info: Mapping[str, Any] = self._rbd("opening", "info", *self._image(snapshot))
        if "id" not in info:
            raise errors.CannotOpen(f"{self.location}: has format 1; convert it with 'rbd migration'")
        return info

    def _rbd(self, doing: str, *argv: str) -> Any:
        answer = self._run(doing, ["rbd", *self._common(), "--format=json", *argv])
        try:
            return json.loads(answer)
        except ValueError:
            raise errors.SourceFailed(f"{self.location}: {doing}: rbd did not answer with JSON") from None

    def _run(
        self,
        doing: str,
        argv: Sequence[str],
        failed: type[exception.ResourceFailed] = errors.SourceFailed,
        *,
        ignored: int | None = None,
    ) -> bytes:
        with self._output(doing, argv, self.timeout, _MOST_BYTES, failed, ignored=ignored) as output:
            return output.read()

    @contextmanager
    def _output(
        self,
        doing: str,
        argv: Sequence[str],
        seconds: float,
        most: int,
        failed: type[exception.ResourceFailed] = errors.SourceFailed,
        *,
        ignored: int | None = None,
    ) -> Iterator[IO[bytes]]:
        """Run a command to its end, and return its output.

        :param ignored: number of an error that counts as success
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
            try:
                child = subprocess.Popen(  # noqa: S603 - see above
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages, env=_environment()
                )
            except OSError as error:
                raise errors.CannotOpen(
                    f"{self.location}: {argv[0]} cannot be started ({error.strerror}); install ceph-common on this host"
                ) from None
            overdue = threading.Event()

            def kill() -> None:
                overdue.set()
                child.kill()

            timer = threading.Timer(seconds, kill)
            timer.start()
            try:
                size = _copy(child.stdout, output, most)
                if size > most:
                    child.kill()
                status = child.wait()
            finally:
                child.kill()
                child.wait()
                timer.cancel()
                timer.join()
                if child.stdout:
                    child.stdout.close()
            if overdue.is_set():
                raise trouble.translate(errno.ETIMEDOUT, self.location, doing, failed=failed)
            if size > most:
                raise failed(f"{self.location}: {doing}: {argv[0]} answered more than {most} bytes")
            if status:
                self._check(doing, status, messages, failed, ignored)
            output.seek(0)
            yield output

    def _check(
        self,
        doing: str,
        status: int,
        messages: IO[bytes],
        failed: type[exception.ResourceFailed],
        ignored: int | None,
    ) -> None:
        """Raise what a command that failed means."""
        messages.seek(0)
        text = messages.read(_PIECE_BYTES).decode(errors="replace")
        numbers = _NUMBER.findall(text)
        # The status is the number of the error. 1 is also that of errors without a number, such as "no connection".
        number = status if status > 1 else int(numbers[-1]) if numbers else None
        if number == ignored is not None:
            return
        if number == errno.ENOENT and "error opening pool" in text:
            raise trouble.no_pool(self.location)
        last = text.strip().splitlines()[-1:] or [f"it ended with status {status}"]
        raise trouble.translate(number, self.location, doing, failed=failed, detail=last[0][:200])


def _copy(source: IO[bytes] | None, target: IO[bytes], most: int) -> int:
    """Copy output until it ends, or has more than *most* bytes. Returns their number."""
    size = 0
    while source and size <= most and (piece := source.read(_PIECE_BYTES)):
        target.write(piece)
        size += len(piece)
    return size


def _environment() -> Mapping[str, str]:
    """Return an environment in which Ceph's commands do what their arguments say, and their messages are English."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
