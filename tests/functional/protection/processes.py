"""Protection services in their own processes, which tests kill."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fixtures import processes
from tests.functional.protection import entry, plugins, stores, zygote

ROOT = Path(__file__).parents[3]

_ENTRY_POINTS = f"""
[karbor_like.protectables]
test-groups = {plugins.__name__}:Groups
test-nodes = {plugins.__name__}:Nodes
[karbor_like.banks]
deadly = {stores.__name__}:DeadlyStore
"""


def install(directory: Path) -> Path:
    """Return a directory for PYTHONPATH that declares the tests' plugins as if they were installed."""
    info = directory / "installed" / "karbor_like_tests-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: karbor-like-tests\nVersion: 1\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    return info.parent


class Zygote:
    """See ``zygote.py``.

    :param preload: a module that it imports, too
    :param root: of the source tree
    :param first: directories to import from before all others
    """

    def __init__(self, preload: str = entry.__name__, root: Path = ROOT, first: Sequence[Path] = ()) -> None:
        environment = processes.environment()
        environment["PYTHONPATH"] = os.pathsep.join([*map(str, first), environment["PYTHONPATH"], str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", zygote.__name__, preload],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: queue.Queue[int] = queue.Queue()
        self._codes: dict[int, int] = {}
        self._ended = threading.Condition()
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline()) == {"ready": True}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if "started" in answer:
                self._started.put(answer["started"])
                continue
            with self._ended:
                self._codes[answer["ended"]] = answer["code"]
                self._ended.notify_all()

    def fork(self, **order: Any) -> int:
        """Start a process. Returns its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._started.get(timeout=240)

    def wait(self, pid: int, seconds: float) -> int:
        """Wait for the end of a process. Returns its exit code."""
        with self._ended:
            assert self._ended.wait_for(lambda: pid in self._codes, seconds), f"{pid} runs on after {seconds} s"
            return self._codes[pid]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(240)


class Process:
    """One process of a site."""

    def __init__(self, zygote: Zygote, config: Path, name: str, call: Any = entry.serve) -> None:
        self._zygote = zygote
        self.log = config.parent / f"{name}.log"
        self.log.touch()
        self.pid = zygote.fork(
            call=f"{call.__module__}:{call.__name__}",
            argv=["--config-file", str(config)],
            log=str(self.log),
            path=[str(install(config.parent))],
            environment={plugins.VARIABLE: str(config.parent / "cloud")},
        )

    def died(self, seconds: float = 240) -> int:
        """Wait for the end of the process. Returns its exit code."""
        return self._zygote.wait(self.pid, seconds)

    def kill(self) -> None:
        """As the kernel does when it runs out of memory."""
        self.signal(signal.SIGKILL)
        self.died()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


@contextlib.contextmanager
def started(zygote: Zygote, config: Path, name: str = "service") -> Iterator[Process]:
    """Start a service, and kill it at the end of the block."""
    process = Process(zygote, config, name)
    try:
        yield process
    finally:
        process.kill()
