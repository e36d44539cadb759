"""Installation of the servers: Debian packages with apt-get, OpenStack with pip in a separate virtual environment."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cloud.ceph import Ceph
from tests.cloud.errors import CannotRun
from tests.cloud.processes import run
from tests.cloud.servers import IscsiTarget, MariaDB, Memcached, PostgreSQL, Qemu, RabbitMQ

#: promtool, which tests alert rules, is in the package of the server.
PROMETHEUS = ("prometheus",)
STORAGE = (*Qemu.packages, *IscsiTarget.packages, *Ceph.packages)
SERVERS = (*MariaDB.packages, *PostgreSQL.packages, *RabbitMQ.packages, *STORAGE, *PROMETHEUS)
BROWSER = ("chromium", "chromium-driver")
CLOUD = (*SERVERS, *Memcached.packages, "nfs-common")

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_APT_LOCK = Path("/run/lock/karbor_like-apt")
STAMP = ".requirements"
"""Name of the file in a virtual environment that identifies its content, and changes with it."""


def install_debian(packages: Sequence[str], log: Path) -> None:
    """Install those of *packages* that are missing. System services that come with them are not started.

    :raises CannotRun: packages are missing, and the machine is not Debian or the user is not root
    :raises HarnessError: apt-get failed
    """
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise CannotRun(f"packages {', '.join(missing)}: not installed; root can install them")
    if shutil.which("apt-get") is None:
        raise CannotRun(f"packages {', '.join(missing)}: not installed, and apt-get is missing; use Debian")
    # RUNLEVEL=1 prevents Debian's invoke-rc.d from starting the installed services.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with _APT_LOCK.open("w") as lock:
        # Several test sessions may get here concurrently, and apt-get does not wait while another one updates its lists.
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
    """Create or renew a virtual environment with *requirements*, in the versions of ``constraints.txt`` next to that file.

    :returns: a text that changes with the content of the environment
    :raises HarnessError: the environment could not be created, or an installation failed
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
    # Replaces the constraints of the tests' own environment, which tox sets.
    run(install, log=log, env={"UV_CONSTRAINT": str(constraints)})
    stamp.write_text(wanted)
    return wanted
