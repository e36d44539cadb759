"""The last released karbor clients in virtual environments of their own, which are created once, below ``.tox``."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.services import must_run

_HERE = Path(__file__).parent
_HOME = _HERE.parents[2] / ".tox"
_SECONDS = 300


class Clients:
    """Programs of the virtual environment.

    :param home: directory of the virtual environment
    """

    def __init__(self, home: Path) -> None:
        self._bin = home / "bin"

    def run(self, *command: str, env: dict[str, str], seconds: float = _SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a program, and return its result regardless of its exit code."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "PYTHON"))}
        path = f"{self._bin}:{clean['PATH']}"
        return subprocess.run(
            [shutil.which(command[0], path=path) or command[0], *command[1:]],
            env={**clean, **env, "PATH": path, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def openstack(self, *command: str, env: dict[str, str], output: bool = True) -> Any:
        """Run ``openstack data protection ...``, assert success, and return its output: JSON if *output*, otherwise text."""
        arguments = ["openstack", "data", "protection", *command, *(("-f", "json") if output else ())]
        done = self.run(*arguments, env=env)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if output else done.stdout

    def library(self, script: Path, *arguments: str) -> Any:
        """Run a Python script, assert success, and return the JSON that it prints."""
        done = self.run("python", str(script), *arguments, env={})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def clients() -> Clients:
    """The clients with the versions of other packages that they were released for."""
    return _installed("")


@pytest.fixture(scope="session")
def clients_today() -> Clients:
    """The clients with today's versions of other packages."""
    return _installed("-today")


def _installed(suffix: str) -> Clients:
    """Install ``requirements{suffix}.txt`` unless that is done, and return the clients."""
    home = _HOME / f"conformance{suffix}"
    requirements, constraints = (_HERE / f"{name}{suffix}.txt" for name in ("requirements", "constraints"))
    stamp = home / hashlib.sha256(requirements.read_bytes() + constraints.read_bytes()).hexdigest()
    with _one_at_a_time(home):
        if not stamp.exists():
            shutil.rmtree(home, ignore_errors=True)
            try:
                _install(home, requirements, constraints)
            except subprocess.CalledProcessError as error:
                if must_run():
                    raise
                pytest.skip(f"conformance clients: not installed; {error.stderr[-500:]}")
            stamp.touch()
    return Clients(home)


@contextlib.contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Hold a lock, because tests run in several processes, which share the environment."""
    lock = home.with_suffix(".lock")
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(home: Path, requirements: Path, constraints: Path) -> None:
    pip = [str(home / "bin" / "python"), "-m", "pip"]
    steps = (
        [sys.executable, "-m", "venv", str(home)],
        [*pip, "install", "-q", "-c", str(constraints), "-r", str(requirements)],
    )
    for step in steps:
        subprocess.run(step, check=True, capture_output=True, text=True)
