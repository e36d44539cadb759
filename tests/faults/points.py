"""The points of operations: :class:`Watch` is notified of each by every process, and may act before that continues."""

import json
import os
import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEFORE, AFTER = "before", "after"
#: The task of points of requests that start operations.
REQUEST: Final = "request"

#: Writes to the bank that do not happen in every operation: leases are renewed and removed when their time has come, and the
#: rest belongs to the first operation in a bank.
_UNSTABLE: Final = ("put leases/", "delete leases/", "put reserve/", "delete reserve/", "put keys/")


@dataclass(frozen=True)
class Point:
    """A place in an operation.

    :param task: the task, or ``-`` if the thread belongs to none
    :param what: ``execute`` or ``revert`` (the task itself), ``POST <path>``, ``put <key>``, ``finish``; without ids
    :param when: ``before`` or ``after`` it
    :param nth: counts the equal ones of an operation, from 1
    """

    task: str
    what: str
    when: str
    nth: int = 1

    def __str__(self) -> str:
        number = f" #{self.nth}" if self.nth > 1 else ""
        return f"{self.task}: {self.when} {self.what}{number}"

    @property
    def is_request(self) -> bool:
        """Whether it is a request to the cloud."""
        return self.what.split(" ")[0] in ("POST", "PUT", "PATCH", "DELETE", "GET")

    @property
    def is_stored(self) -> bool:
        """Whether it is a write to the bank."""
        return self.what.startswith(("put ", "delete "))

    @property
    def in_request(self) -> bool:
        """Whether it belongs to the request that starts an operation, not to the operation."""
        return self.task == REQUEST

    @property
    def is_stable(self) -> bool:
        """Whether it is the same point in each run."""
        return not self.what.startswith(_UNSTABLE) or (self.what.startswith("put leases/") and self.nth == 1)


@dataclass(frozen=True)
class Visit:
    """A process at a point."""

    point: Point
    pid: int


#: Acts while a process is at the point. Returns the seconds by which to step the clock of the process.
Act = Callable[[Visit], float]


class Watch:
    """Receives the points of all processes on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: list[Point] = []
        self._counts: Counter[Point] = Counter()
        self._matches: Callable[[Point], bool] = lambda point: False
        self._act: Act | None = None
        self.met = threading.Event()
        watch = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline()
                if not line:
                    return
                step = watch._visit(**json.loads(line))
                self.wfile.write(json.dumps({"step": step}).encode() + b"\n")

            def finish(self) -> None:
                try:
                    super().finish()
                except OSError:
                    return  # the process was killed

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """The process was killed."""

        self._server = Server(os.fspath(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _visit(self, pid: int, task: str, what: str, when: str) -> float:
        with self._lock:
            self._counts[Point(task, what, when)] += 1
            point = Point(task, what, when, self._counts[Point(task, what, when)])
            self._seen.append(point)
            act = self._act if self._matches(point) else None
            if act is None:
                return 0.0
            self._act = None
        step = act(Visit(point, pid))
        self.met.set()
        return step

    def expect(self, point: Point | None = None, act: Act | None = None) -> None:
        """Forget what was seen, and call *act* once when a process comes to *point*."""
        with self._lock:
            self._seen.clear()
            self._counts.clear()
            self.met.clear()
            self._matches, self._act = (lambda met: met == point), act

    def expect_next(self, matches: Callable[[Point], bool], act: Act) -> None:
        """Call *act* once when a process comes to a further point that *matches*. For :data:`Act`."""
        with self._lock:
            self._matches, self._act = matches, act

    def seen(self) -> list[Point]:
        """Return the points that were met, in order."""
        with self._lock:
            return list(self._seen)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
