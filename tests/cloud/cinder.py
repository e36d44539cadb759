"""Volumes: Cinder with its NFS driver, whose "share" is a bind mount of a local directory, and with its driver for Ceph.

With the volume type ``file``, which is the default, volumes are files, snapshots are qcow2 overlays, and clones are copies.
With ``ceph``, they are RBD images. No kernel module is needed. Backups are in Swift, in the account of the project
``service``, so that another site with access to this account can restore them.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cloud import ceph
from tests.cloud.component import DRIVERS, Site
from tests.cloud.ini import Sections, write_ini
from tests.cloud.layout import PASSWORD
from tests.cloud.net import HOST
from tests.cloud.processes import Daemon, run

_SHARE = f"{HOST}:/volumes"
FILES = "file"
"""The backend with files, and its volume type: the default."""
CEPH = "ceph"
"""The backend with RBD images, and its volume type."""
HOST_NAME = "cloud"
BACKUPS = "volumebackups"
"""The container of the backups."""
WORKERS = ("cinder-scheduler", "cinder-volume", "cinder-backup")
_KEYED = ("cinder-volume", "cinder-backup")
"""Those that move bytes from and to Ceph."""
_DRIVER = DRIVERS / "idle_nfs.py"
_KEYED_PROGRAM = DRIVERS / "keyed_cinder.py"


def share(data: Path) -> Path:
    """Return where the share is mounted: the driver treats a mount at this path as its share.

    :param data: Cinder's data directory
    """
    return data / "mnt" / hashlib.md5(_SHARE.encode()).hexdigest()


class Cinder:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._etc = site.layout.etc("cinder")
        self._config = self._etc / "cinder.conf"
        self._data = site.layout.data("cinder")
        self.volumes = site.layout.data("volumes")
        """Directory of the volume files."""

    @property
    def backends(self) -> Sequence[str]:
        """The names of the backends, which are also the names of their volume types."""
        return (FILES, CEPH) if self._site.ceph else (FILES,)

    def prepare(self) -> None:
        site, shipped = self._site, self._site.layout.venv / "etc" / "cinder"
        (self._etc / "shares").write_text(f"{_SHARE}\n")
        shutil.copytree(shipped / "rootwrap.d", self._etc / "rootwrap.d", dirs_exist_ok=True)
        (self._data / "conversion").mkdir(exist_ok=True)
        write_ini(
            self._etc / "rootwrap.conf",
            {
                "DEFAULT": {
                    "filters_path": self._etc / "rootwrap.d",
                    "exec_dirs": f"{site.layout.venv}/bin,/usr/local/sbin,/usr/local/bin,/usr/sbin,/usr/bin,/sbin,/bin",
                }
            },
        )
        self._write_sudo()
        self._mount()
        write_ini(self._config, self._sections())
        site.sync("cinder", [site.program("cinder-manage"), "--config-file", str(self._config), "db", "sync"])

    def _write_sudo(self) -> None:
        """Write a ``sudo`` that only executes its command, because the processes are root already.

        The real one may be missing, and it resets PATH.
        """
        sudo = self._sudo_directory / "sudo"
        sudo.parent.mkdir(exist_ok=True)
        sudo.write_text('#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n')
        sudo.chmod(0o755)

    @property
    def _sudo_directory(self) -> Path:
        return self._data / "bin"

    @property
    def _mount_point(self) -> Path:
        return share(self._data)

    def _mount(self) -> None:
        self._mount_point.mkdir(parents=True, exist_ok=True)
        if not self._mounted():
            command = ["mount", "--bind", str(self.volumes), str(self._mount_point)]
            run(command, log=self._site.layout.log("mount"))

    def _mounted(self) -> bool:
        # Path.is_mount() does not detect a bind mount within one file system.
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return str(self._mount_point) in [line.split()[1] for line in mounts]

    def release(self) -> None:
        """Unmount the share. The processes must have ended."""
        while self._mounted():
            subprocess.run(["umount", "--lazy", str(self._mount_point)], check=True)

    def _sections(self) -> Sections:
        site = self._site
        return {
            "DEFAULT": {
                "transport_url": site.rabbitmq.transport_url(),
                "auth_strategy": "keystone",
                "host": HOST_NAME,
                "my_ip": HOST,
                "enabled_backends": ",".join(self.backends),
                "default_volume_type": FILES,
                "glance_api_servers": site.layout.image_url,
                "state_path": self._data,
                "image_conversion_dir": self._data / "conversion",
                "api_paste_config": site.layout.venv / "etc" / "cinder" / "api-paste.ini",
                # Without it, Cinder rejects every filter of a list. Distribution packages install it in /etc/cinder.
                "resource_query_filters_file": site.layout.venv / "etc" / "cinder" / "resource_filters.json",
                "rootwrap_config": self._etc / "rootwrap.conf",
                "enable_force_upload": True,
                "quota_volumes": 1000,
                "quota_snapshots": 1000,
                "quota_gigabytes": 10000,
                "quota_backups": 1000,
                "quota_backup_gigabytes": 10000,
                "quota_groups": 1000,
                **self._backup(),
                "volume_clear": "none",
                # Without the filter by free space, because only a manager of Ceph knows how much there is.
                "scheduler_default_filters": "AvailabilityZoneFilter,CapabilitiesFilter",
            },
            "database": site.database("cinder"),
            "oslo_concurrency": {"lock_path": self._data / "lock"},
            "oslo_messaging_rabbit": {"rabbit_quorum_queue": True},
            FILES: {
                "volume_driver": f"{_DRIVER.stem}.IdleNfsDriver",
                "volume_backend_name": FILES,
                "nfs_shares_config": self._etc / "shares",
                "nfs_mount_point_base": self._mount_point.parent,
                "nfs_snapshot_support": True,
                "nfs_sparsed_volumes": True,
                "nfs_qcow2_volumes": False,
                "nas_secure_file_operations": False,
                "nas_secure_file_permissions": False,
            },
            **self._ceph(),
            "glance": site.credentials("cinder"),
            "service_user": {"send_service_user_token": True, **site.credentials("cinder")},
            "keystone_authtoken": site.authtoken("cinder"),
        }

    def _ceph(self) -> Sections:
        """Return the section of the backend with RBD images."""
        if self._site.ceph is None:
            return {}
        options = {
            "volume_driver": "cinder.volume.drivers.rbd.RBDDriver",
            "volume_backend_name": CEPH,
            "rbd_pool": ceph.POOL,
            "rbd_ceph_conf": self._site.ceph.conf,
            "rbd_user": ceph.CINDER,
            # Of a secret that hypervisors would have. There is none.
            "rbd_secret_uuid": "00000000-0000-4000-8000-000000000001",
            "rbd_exclusive_cinder_pool": True,
        }
        return {CEPH: options}

    def _backup(self) -> dict[str, object]:
        """Return the options of cinder-backup. One user stores all backups, so the account has no id of a tenant in it."""
        return {
            "backup_driver": "cinder.backup.drivers.swift.SwiftBackupDriver",
            "backup_swift_container": BACKUPS,
            "backup_swift_auth": "single_user",
            "backup_swift_auth_version": 3,
            "backup_swift_auth_url": (self._site.layout.first or self._site.layout).auth_url,
            "backup_swift_user": "cinder",
            "backup_swift_key": PASSWORD,
            "backup_swift_user_domain": "Default",
            "backup_swift_project": "service",
            "backup_swift_project_domain": "Default",
        }

    def daemons(self) -> Sequence[Daemon]:
        api = self._site.wsgi("cinder-api", "cinder.wsgi.api:application", self._config, path="/healthcheck")
        return [api, *(self._worker(name) for name in WORKERS)]

    def _worker(self, name: str) -> Daemon:
        path = f"{self._sudo_directory}:{self._site.layout.venv}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        argv = [self._site.program(name), "--config-file", str(self._config)]
        env = {"PATH": path, "PYTHONPATH": str(_DRIVER.parent)}
        if self._site.ceph:
            env["PYTHONPATH"] += f":{self._site.ceph.bindings}"
            if name in _KEYED:
                env["CEPH_KEYRING"] = str(self._site.ceph.key(ceph.CINDER))
                argv = [self._site.program("python"), str(_KEYED_PROGRAM), name, *argv[1:]]
        # Always ready: Cloud.up asks the API for the state of all workers later.
        return Daemon(
            name,
            argv,
            lambda: True,
            env=env,
            configs=[self._config, _DRIVER, _KEYED_PROGRAM, self._site.installed],
        )
