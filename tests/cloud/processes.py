"""Background processes that outlive the command that started them. Later commands find and control them.

Each process has a record under ``run/`` and a log under ``log/``. The record has the pid and the creation time, so that
another process with a reused pid is not mistaken for ours. Every process also inherits a mark in its environment, by which
:meth:`Supervisor.stop_all` finds processes that daemonised themselves or lost their record.
"""

import contextlib
import hashlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.cloud.errors import HarnessError

MARK = "KARBOR_LIKE_TEST_SERVERS"


@dataclass(frozen=True)
class Daemon:
    """Description of one process: how to start it, and how to check that it is ready."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """The account under which root runs it. Other users run it under their own account."""
    configs: Sequence[Path] = ()
    """Files that it reads at start. When one changes, the process is restarted."""
    stop_signal: int = signal.SIGTERM
    start_timeout: float = 180.0
    """Seconds within which it must be ready: generous, for loaded machines."""

    def fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps([list(self.argv), dict(self.env)]).encode())
        for path in self.configs:
            digest.update(path.read_bytes())
        return digest.hexdigest()


class Supervisor:
    """The processes of one state directory.

    :param state: directory that holds ``run/`` and ``log/``
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self._run = state / "run"
        self._log = state / "log"
        self._children: list[subprocess.Popen[bytes]] = []

    def ensure(self, *daemons: Daemon) -> None:
        """Start those of *daemons* that do not run or run with other settings. Start them concurrently and wait for all.

        :raises HarnessError: one ended, or was not ready in time; the others are left as they are
        """
        for daemon in daemons:
            self._start(daemon)
        for daemon in daemons:
            self._wait(daemon)

    def _start(self, daemon: Daemon) -> None:
        fingerprint = daemon.fingerprint()
        record = self._record(daemon.name)
        if record and self.process(daemon.name):
            if record["fingerprint"] == fingerprint:
                return
            self.stop(daemon.name)
        self._run.mkdir(parents=True, exist_ok=True)
        self._log.mkdir(parents=True, exist_ok=True)
        with self.log(daemon.name).open("wb") as log:
            child = subprocess.Popen(
                daemon.argv,
                env={**os.environ, **daemon.env, MARK: str(self.state)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_identity(daemon.user),
            )
        self._children.append(child)
        record = {
            "pid": child.pid,
            "created": psutil.Process(child.pid).create_time(),
            "fingerprint": fingerprint,
            "stop_signal": int(daemon.stop_signal),
        }
        self._record_path(daemon.name).write_text(json.dumps(record))

    def _wait(self, daemon: Daemon) -> None:
        deadline = time.monotonic() + daemon.start_timeout
        while True:
            running = self.process(daemon.name) is not None
            if running and daemon.ready():
                return
            if not running:
                raise HarnessError(f"{daemon.name}: ended during its start\n{self.tail(daemon.name)}")
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"{daemon.name}: not ready within {daemon.start_timeout:.0f} s\n{self.tail(daemon.name)}"
                )
            time.sleep(0.1)

    def process(self, name: str) -> psutil.Process | None:
        """Return the running process with that name, or None."""
        record = self._record(name)
        if not record:
            return None
        try:
            process = psutil.Process(int(record["pid"]))
            same = abs(process.create_time() - float(record["created"])) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def names(self) -> list[str]:
        """List the names of all processes with a record, running or not, in the order of their start."""
        if not self._run.is_dir():
            return []
        return [path.stem for path in sorted(self._run.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)]

    def stop(self, *names: str, timeout: float = 15.0) -> None:
        """Stop processes and their children concurrently by signal. Kill those that still run after *timeout* seconds."""
        family: list[psutil.Process] = []
        for name in names:
            record, process = self._record(name), self.process(name)
            if process and record:
                family += [process, *process.children(recursive=True)]
                process.send_signal(int(record["stop_signal"]))
        _, left = psutil.wait_procs(family, timeout)
        _kill(left)
        for name in names:
            self._record_path(name).unlink(missing_ok=True)

    def kill(self, name: str) -> None:
        """Kill one process and its children (SIGKILL), and delete its record."""
        if process := self.process(name):
            _kill([process, *process.children(recursive=True)])
        self._record_path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Let a process and its children stand still (SIGSTOP)."""
        process = self.process(name)
        assert process, f"{name} does not run"
        family = [process, *process.children(recursive=True)]
        for member in family:
            _signal(member, signal.SIGSTOP)
        try:
            yield
        finally:
            for member in family:
                _signal(member, signal.SIGCONT)

    def stop_all(self, *, gently: bool = True, last: Collection[str] = ()) -> None:
        """Stop all processes with a record, and all others with our mark.

        :param gently: let each process shut down cleanly; otherwise kill it, and data may be lost
        :param last: processes to stop after the others, which need them
        """
        if gently:
            self.stop(*(name for name in self.names() if name not in last))
            self.stop(*(name for name in self.names() if name in last))
        for name in self.names():
            self.kill(name)
        unrecorded = list(self._marked())
        for process in unrecorded:
            _signal(process, signal.SIGTERM)
        _, left = psutil.wait_procs(unrecorded, 5)
        _kill(left)

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.state):
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    def log(self, name: str) -> Path:
        return self._log / f"{name}.log"

    def tail(self, name: str, lines: int = 40) -> str:
        """Return the last *lines* lines of a log, after a line that names the file."""
        path = self.log(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join([f"--- end of {path}", *text.splitlines()[-lines:]])

    def _record_path(self, name: str) -> Path:
        return self._run / f"{name}.json"

    def _record(self, name: str) -> dict | None:
        try:
            return json.loads(self._record_path(name).read_text())
        except FileNotFoundError:
            return None


def run(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, user: str | None = None) -> None:
    """Run a command until it ends, and append its output to *log*.

    :raises HarnessError: its exit code is not 0
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        code = subprocess.call(
            argv,
            env={**os.environ, **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            **_identity(user),
        )
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise HarnessError(f"{' '.join(argv)}: exit code {code}\n--- end of {log}\n{tail}")


def _identity(account: str | None) -> dict[str, Any]:
    """Return the arguments of Popen to run a command under *account*. Empty unless this process is root."""
    if account is None or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(processes, 10)
