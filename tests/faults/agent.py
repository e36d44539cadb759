"""A protection service that reports each of its points, and continues when it is allowed to.

The points are its tasks, its requests to the cloud, its writes to the bank, and the transaction in which an operation ends.
Those of a request that starts an operation are the call in the API and at its other end, and each of its transactions.
"""

import functools
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

# Imported before the process is forked: the clients of the cloud, which the service imports at their first use.
import cinderclient.v3.client  # noqa: F401
import glanceclient.v2.client  # noqa: F401
import heatclient.v1.client  # noqa: F401
import novaclient.v2.client  # noqa: F401
import requests
import swiftclient  # noqa: F401

from karbor_like import clock
from karbor_like.bank.objectstore.retry import RetryingStore
from karbor_like.bank.objectstore.swift import SwiftStore
from karbor_like.clients.http import LimitedSession
from karbor_like.db.session import Database
from karbor_like.protection.endpoint import Endpoint
from karbor_like.protection.flows.tasks import Step
from karbor_like.protection.operation import lifecycle
from karbor_like.rpc.client import Client
from tests.faults.points import REQUEST
from tests.functional.protection import entry

VARIABLE = "KARBOR_LIKE_TEST_FAULTS"
"""Environment variable with the path of the socket of :class:`tests.faults.points.Watch`."""

URL_VARIABLE = "KARBOR_LIKE_TEST_URL"
"""Environment variable with the path of the file to which the URL of the API is written, if the process runs one."""

READS = ("GET", "HEAD", "OPTIONS")
#: Calls that start operations.
_STARTS: Final = ("protect", "restore", "verify", "copy", "delete_checkpoint")
_ID = re.compile(
    r"(?<![a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9]{6,}"
    r"|karbor-like-[^/]*|(?<=\.)[0-9a-f]{8}(?=-))"
)


def named(text: str) -> str:
    """Replace what differs from run to run, such as ids and times."""
    # The names of objects have this escape before ids of resources.
    return _ID.sub("*", text.replace("=23", "#"))


class Agent:
    """The end of the connection in the service."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()
        #: Seconds by which the wall clock of this process differs from that of the machine.
        self._step = 0.0

    def meet(self, what: str, when: str) -> None:
        """Report a point, and wait until this process may continue."""
        point = {"pid": os.getpid(), "task": getattr(self._local, "task", "-"), "what": named(what), "when": when}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            with connection.makefile("rw") as file:
                file.write(json.dumps(point) + "\n")
                file.flush()
                self._step += json.loads(file.readline())["step"]

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """Report the point before the block, and, if nothing is raised, the point after it."""
        self.meet(what, "before")
        yield
        self.meet(what, "after")

    def install(self) -> None:
        """Report every point of this process from now on."""
        agent = self

        def wrap(owner: Any, name: str, describe: Callable[..., str | None]) -> None:
            """Report what *describe* returns unless that is None."""
            real = getattr(owner, name)

            @functools.wraps(real)
            def call(*args: Any, **kwargs: Any) -> Any:
                what = describe(*args, **kwargs)
                if what is None:
                    return real(*args, **kwargs)
                with agent.around(what):
                    return real(*args, **kwargs)

            setattr(owner, name, call)

        def in_task(owner: Any, name: str, task: Callable[[Any], str], describe: Callable[..., str | None]) -> None:
            """Report what *describe* returns unless that is None, and that the points inside belong to *task*."""
            real = getattr(owner, name)

            @functools.wraps(real)
            def call(self: Any, *args: Any, **kwargs: Any) -> Any:
                what = describe(self, *args, **kwargs)
                if what is None:
                    return real(self, *args, **kwargs)
                agent._local.task = task(self)
                try:
                    with agent.around(what):
                        return real(self, *args, **kwargs)
                finally:
                    agent._local.task = "-"

            setattr(owner, name, call)

        for hook in ("execute", "revert"):
            in_task(Step, hook, lambda step: step.name, lambda *args, hook=hook, **kwargs: hook)
        for method in _STARTS:
            in_task(Endpoint, method, lambda endpoint: REQUEST, lambda *args, method=method, **kwargs: f"do {method}")
        in_task(
            Client,
            "_call",
            lambda client: REQUEST,
            lambda client, context, method, *args, **kwargs: f"ask to {method}" if method in _STARTS else None,
        )
        wrap(Database, "write", lambda *args: "write" if getattr(agent._local, "task", "-") == REQUEST else None)
        wrap(LimitedSession, "send", lambda session, request, **kwargs: _request(request))
        wrap(RetryingStore, "put", lambda store, key, data: f"put {key}")
        wrap(RetryingStore, "delete", lambda store, key: f"delete {key}")
        wrap(lifecycle, "finish", lambda *args, **kwargs: "finish")
        now = clock.SystemClock.now

        def stepped(self: clock.SystemClock) -> datetime:
            return now(self) + timedelta(seconds=agent._step)

        clock.SystemClock.now = stepped  # type: ignore[method-assign]


def _request(request: requests.PreparedRequest) -> str | None:
    """Return what a request does, or None if it neither changes the cloud nor moves data."""
    path = str(request.path_url).partition("?")[0]
    if path.endswith("/auth/tokens") or (request.method in READS and not path.endswith("/file")):
        return None
    what = f"{request.method} {path}"
    if path.endswith("/action"):
        # The name of an action is the only member of the body.
        what += f" {next(iter(json.loads(request.body or '{}')), '')}".rstrip()
    return what


def serve(argv: list[str]) -> int:
    """Run the service."""
    install()
    return entry.serve(argv)


def install() -> None:
    """Report every point of this process, and the names of its threads when it gets SIGUSR1."""
    path = os.environ[VARIABLE]
    Agent(path).install()
    # The reserve of a full bank would wait for more than a minute. The sandbox accounts for deletions at once.
    SwiftStore.frees_room_at_once = True

    def report(number: int, frame: Any) -> None:
        complete = threads_file(path, os.getpid())
        part = complete.with_suffix(".part")
        part.write_text("\n".join(thread.name for thread in threading.enumerate()))
        part.replace(complete)

    signal.signal(signal.SIGUSR1, report)


def threads_file(path: str, pid: int) -> Path:
    """Return the file with the names of the threads of a process.

    :param path: of the socket
    """
    return Path(f"{path}-{pid}.threads")
