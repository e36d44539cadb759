"""Installs what the servers need: Debian packages with apt-get, OpenStack with pip into an environment of its own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cloud.errors import CannotRun
from tests.cloud.processes import run
from tests.cloud.servers import MariaDB, Memcached, PostgreSQL, RabbitMQ

SERVERS = (*MariaDB.packages, *PostgreSQL.packages, *RabbitMQ.packages)
CLOUD = (*SERVERS, *Memcached.packages, "qemu-utils", "nfs-common")

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_APT_LOCK = Path("/run/lock/karbor_like-apt")
STAMP = ".requirements"
"""File of a virtual environment that says what is installed: changes with it."""


def install_debian(packages: Sequence[str], log: Path) -> None:
    """Install those of *packages* that are missing. What comes with a service of the system's own leaves it stopped.

    :raises CannotRun: something is missing and this is no Debian machine, or we are not root
    :raises HarnessError: apt-get failed
    """
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise CannotRun(f"{', '.join(missing)} must be installed, which takes root")
    if shutil.which("apt-get") is None:
        raise CannotRun(f"{', '.join(missing)} must be installed, and there is no apt-get here")
    # RUNLEVEL=1 tells Debian's invoke-rc.d not to start what was just installed.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with _APT_LOCK.open("w") as lock:
        # Several test sessions may come here. apt-get itself does not wait for another one that updates its lists.
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(["apt-get", "update", "-q"], log=log, env=env)
        run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], log=log, env=env)


def _installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "-W", "-f", "${Status}", package]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "install ok installed"


def install_python(requirements: Path, venv: Path, log: Path) -> str:
    """Keep a virtual environment that holds *requirements*, in the versions of ``constraints.txt`` next to that file.

    :returns: a word that changes with the content of the environment
    :raises HarnessError: the environment could not be made or filled
    """
    constraints = requirements.with_name("constraints.txt")
    content = requirements.read_bytes() + constraints.read_bytes() + sys.version.encode()
    wanted = hashlib.sha256(content).hexdigest()
    stamp, python = venv / STAMP, venv / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return wanted
    shutil.rmtree(venv, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(venv)], log=log)
    run([str(python), "-m", "pip", "install", "-q", "-c", str(_CONSTRAINTS), "uv"], log=log)
    install = [str(python), "-m", "uv", "pip", "install", "-q", "--python", str(python), "-r", str(requirements)]
    # In the place of the constraints of the tests' own environment, which tox sets.
    run(install, log=log, env={"UV_CONSTRAINT": str(constraints)})
    stamp.write_text(wanted)
    return wanted
