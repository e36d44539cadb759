"""Ceph: one monitor and one object storage daemon (OSD) in user space, from the system's packages.

The OSD keeps objects in memory, so a new cluster is ready within a second. After a clean stop, it continues with the same
objects; if it is killed, they are lost. There is no manager, so Ceph reports no free space, and Cinder's scheduler must not
ask for any.
"""

import base64
import json
import os
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.cloud.ini import Sections, write_ini
from tests.cloud.net import HOST, port_open
from tests.cloud.processes import Daemon, run
from tests.cloud.servers import program

POOL = "volumes"
"""The pool of all images."""
CINDER = "cinder"
"""The user of Cinder and of tests: creates, reads, writes and removes images."""
WRITER = "writer"
"""A user with the same rights, for a service that writes into images that others created."""
READER = "mover"
"""A user that can only read, through librbd."""
QEMU_READER = "mover-nbd"
"""A user that can only read data, but open snapshots as QEMU does: for writing, with a watch on the header of the image."""

_ADMIN = "admin"
_WRITES = {"mon": "profile rbd", "osd": f"profile rbd pool={POOL}"}
#: Capabilities by the name of the entity.
_ENTITIES: Final[Mapping[str, Mapping[str, str]]] = {
    "mon.": {"mon": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    f"client.{_ADMIN}": {"mon": "allow *", "osd": "allow *"},
    f"client.{CINDER}": _WRITES,
    f"client.{WRITER}": _WRITES,
    f"client.{READER}": {"mon": "profile rbd", "osd": f"profile rbd-read-only pool={POOL}"},
    f"client.{QEMU_READER}": {
        "mon": "profile rbd",
        "osd": f"allow rx pool={POOL}, allow rwx pool={POOL} object_prefix rbd_header.",
    },
}
_BINDINGS = Path("/usr/lib/python3/dist-packages")
_MODULES = ("rados", "rbd")
_ABI = f".cpython-{sys.version_info.major}{sys.version_info.minor}-*.so"
_SIZE = 64 << 30
"""Bytes that the OSD offers. It takes memory for what is written only."""
_PATIENCE = 120
"""Seconds that a command may take on a loaded machine."""


class Ceph:
    """A cluster with the pool :data:`POOL`.

    :param directory: its data
    :param ports: of the monitor: for version 2 and for version 1 of its protocol
    """

    packages = ("ceph-mon", "ceph-osd", "ceph-common", "python3-rados", "python3-rbd", "qemu-block-extra")
    MONITOR = "ceph-mon"
    OSD = "ceph-osd"

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        self.directory = directory
        self.conf = directory / "ceph.conf"
        """Path of the configuration file, which every client needs. It names the key files of the users."""
        self.bindings = directory / "bindings"
        """A directory for ``PYTHONPATH`` with the modules ``rados`` and ``rbd``."""
        self._port, self._port_v1 = ports

    @property
    def is_importable(self) -> bool:
        """Whether the system's modules fit this Python. There are modules for the system's own Python only."""
        return all(list(_BINDINGS.glob(f"{module}{_ABI}")) for module in _MODULES)

    def prepare(self) -> None:
        """Write the configuration and the keys, and create the stores of both daemons unless they exist."""
        if not (self.directory / "complete").exists():
            self._create()
        self.bindings.mkdir(exist_ok=True)
        for module in _MODULES:
            for library in _BINDINGS.glob(f"{module}{_ABI}"):
                link = self.bindings / library.name
                link.unlink(missing_ok=True)
                link.symlink_to(library)

    def _create(self) -> None:
        cluster = str(uuid.uuid4())
        for name in ("mon", "osd", "run"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        write_ini(self.conf, self._sections(cluster))
        keyrings = [self._write_key(entity, capabilities) for entity, capabilities in _ENTITIES.items()]
        # The monitor reads from one file which users there are.
        users = self.directory / "users.keyring"
        users.write_text("".join(path.read_text() for path in keyrings))
        log, monitors = self.directory.parent / "ceph-create.log", self.directory / "monmap"
        addresses = ["--addv", "a", self._addresses]
        tool = [program("monmaptool"), "--create", "--clobber", "--enable-all-features", *addresses, "--fsid", cluster]
        run([*tool, str(monitors)], log=log)
        new = ["--mkfs", "--monmap", str(monitors)]
        run([*self._command(self.MONITOR, "a"), *new, "--keyring", str(users)], log=log)
        # The first start of an OSD makes it a member of the cluster. Without its own configuration, it would ask a monitor.
        run([*self._command(self.OSD, "0"), *new, "--no-mon-config", "--osd-uuid", str(uuid.uuid4())], log=log)
        (self.directory / "complete").touch()

    def key(self, user: str) -> Path:
        """Return the path of the key file of a user."""
        return self._keyring(f"client.{user}")

    def _keyring(self, entity: str) -> Path:
        return self.directory / f"{entity}.keyring"

    def _write_key(self, entity: str, capabilities: Mapping[str, str]) -> Path:
        """Write the key file of an entity, and return its path."""
        secret = os.urandom(16)
        # As Ceph encodes keys: type (AES), seconds and nanoseconds of its creation, length, and the key.
        key = base64.b64encode(struct.pack("<HIIH", 1, int(time.time()), 0, len(secret)) + secret).decode()
        caps = {f"caps {service}": f'"{allowed}"' for service, allowed in capabilities.items()}
        path = write_ini(self._keyring(entity), {entity: {"key": key, **caps}})
        path.chmod(0o600)
        return path

    @property
    def _addresses(self) -> str:
        return f"[v2:{HOST}:{self._port},v1:{HOST}:{self._port_v1}]"

    def _sections(self, cluster: str) -> Sections:
        daemon = {
            # The log is the output of the process.
            "log_file": "",
            "log_to_stderr": True,
            "debug_rocksdb": "0/0",
            "pid_file": "",
            "run_dir": self.directory / "run",
            "admin_socket": self.directory / "run" / "$name.asok",
            "crash_dir": self.directory / "run",
        }
        return {
            "global": {
                "fsid": cluster,
                "mon_host": self._addresses,
                "public_network": "127.0.0.0/8",
                "cluster_network": "127.0.0.0/8",
                "keyring": f"{self.directory}/$name.keyring",
                "auth_allow_insecure_global_id_reclaim": False,
                "osd_pool_default_size": 1,
                "osd_pool_default_min_size": 1,
                "osd_pool_default_pg_num": 8,
                "osd_pool_default_pg_autoscale_mode": "off",
                "osd_crush_chooseleaf_type": 0,
                "mon_allow_pool_size_one": True,
                "mon_allow_pool_delete": True,
                # layering, exclusive-lock, object-map, fast-diff and deep-flatten: what Ceph enables by default
                "rbd_default_features": 61,
            },
            "mon": {
                **daemon,
                "mon_data": self.directory / "mon",
                "keyring": self._keyring("mon."),
                "mon_cluster_log_file": os.devnull,
                # Tests may run on a disk that is nearly full.
                "mon_data_avail_warn": 1,
                "mon_data_avail_crit": 1,
                # Decisions of the only monitor need not be collected.
                "paxos_propose_interval": 0.05,
                "paxos_min_wait": 0.01,
            },
            "osd": {
                **daemon,
                "osd_data": self.directory / "osd",
                "osd_objectstore": "memstore",
                "osd_journal": "",
                "memstore_device_bytes": _SIZE,
                # Takes memory for the pages that are written, and not for all bytes before the last one of an object.
                "memstore_page_set": True,
                "osd_memory_target": 256 << 20,
                # Otherwise a stopped OSD does not save its objects.
                "osd_fast_shutdown": False,
                "osd_class_update_on_start": False,
                "osd_mclock_force_run_benchmark_on_init": False,
            },
        }

    def daemons(self) -> Sequence[Daemon]:
        """Describe both daemons. Call :meth:`prepare` before, and :meth:`furnish` when they run."""
        return [
            Daemon(name, [*self._command(name, number), "-f"], self._ready, configs=[self.conf])
            for name, number in ((self.MONITOR, "a"), (self.OSD, "0"))
        ]

    def _command(self, name: str, number: str) -> list[str]:
        return [program(name), "-c", str(self.conf), "-i", number]

    def _ready(self) -> bool:
        return port_open(self._port)

    def furnish(self) -> None:
        """Create the pool unless it exists, and wait until clients can use it.

        :raises subprocess.SubprocessError: the cluster refused, or did not answer in time
        """
        # One process for all commands, because each starts an interpreter.
        self.manage("", text=f"osd pool create {POOL}\nosd pool application enable {POOL} rbd\n")
        self.rbd("pool", "stats", POOL)

    def manage(self, *argv: str, text: str | None = None) -> str:
        """Run ``ceph`` as the administrator, and return its output.

        :param text: commands, one a line, instead of *argv*
        :raises subprocess.SubprocessError: the command failed, or took too long
        """
        return _output([program("ceph"), "-c", str(self.conf), *(part for part in argv if part)], text)

    def rbd(self, *argv: str, user: str = _ADMIN) -> str:
        """Run ``rbd`` as a user, and return its output.

        :raises subprocess.SubprocessError: the command failed, or took too long
        """
        return _output([program("rbd"), "-c", str(self.conf), "--id", user, *argv])

    def images(self) -> set[str]:
        """Return the names of all images in the pool, also of those that wait for their deletion."""
        listed = json.loads(self.rbd("ls", "--format", "json", POOL))
        trash = json.loads(self.rbd("trash", "ls", "--all", "--format", "json", POOL))
        return {*listed, *(entry["name"] for entry in trash)}

    def snapshots(self, image: str) -> set[str]:
        """Return the names of all snapshots of an image, also of those that are kept for clones only."""
        listed = json.loads(self.rbd("snap", "ls", "--all", "--format", "json", f"{POOL}/{image}"))
        return {entry["name"] for entry in listed}

    def watchers(self, image: str) -> list[str]:
        """Return the addresses of the clients that have an image open for writing, or as QEMU opens it."""
        lines = self.rbd("status", f"{POOL}/{image}").splitlines()
        return [line.strip().removeprefix("watcher=") for line in lines if "watcher=" in line]


def _output(argv: Sequence[str], text: str | None = None) -> str:
    made = subprocess.run(argv, check=False, capture_output=True, text=True, input=text, timeout=_PATIENCE)
    if made.returncode:
        raise subprocess.CalledProcessError(made.returncode, argv, made.stdout, made.stderr)
    return made.stdout
