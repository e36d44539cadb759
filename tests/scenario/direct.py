"""What scenarios of the direct data path share: services with the plugin, volumes of both backends, and what may be left."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.cloud import ceph
from tests.cloud.cinder import CEPH, FILES, HOST_NAME
from tests.cloud.handle import RealCloud
from tests.fixtures.system import System
from tests.scenario.tenant import MIB, Tenant, random_bytes

BACKENDS = (FILES, CEPH)
SLOW = 12 * MIB
"""Bytes per second of the slow provider: protects and restores take long enough to be interrupted."""


class DirectSystem(System):
    """An installation whose providers read and write volumes directly."""

    provider = "10000000-0000-4000-8000-000000000008"
    slow_provider = "10000000-0000-4000-8000-000000000009"
    marking_provider = "10000000-0000-4000-8000-00000000000a"
    """Keeps marks in the storage instead of snapshots of Cinder."""
    cloud: RealCloud

    def _write_providers(self, credentials: Mapping[str, Any]) -> None:
        limit = {"max_bytes_per_second": SLOW}
        for name, provider_id, bank, keep_mark in (
            ("direct", self.provider, {}, "cinder"),
            ("slow", self.slow_provider, limit, "cinder"),
            ("marking", self.marking_provider, {}, "rbd"),
        ):
            directory = self.directory / f"bank-{name}"
            directory.mkdir()
            self.write_provider(
                name,
                provider_id,
                ["volume-direct"],
                bank=bank,
                file_system_bank_plugin={"file_system_bank_path": directory},
                volume_direct_plugin={**self._options(), "keep_mark": keep_mark},
            )

    def _options(self) -> Mapping[str, Any]:
        return {
            "backends": f"{HOST_NAME}@{CEPH}:rbd={ceph.POOL},{HOST_NAME}@{FILES}:remotefs={self.cloud.share}",
            "keep_mark": "cinder",
            "fallback": "error",
            "rbd_conf": self.cloud.ceph.conf,
            "rbd_user": ceph.READER,
            "rbd_write_user": ceph.WRITER,
        }

    def _family(self) -> list[psutil.Process]:
        service = psutil.Process(self.process("protection"))
        return [service, *service.children(recursive=True)]

    def bytes_read(self) -> int:
        """Return how many bytes the processes of the protection service have read, as Linux counts: of files and connections.

        This includes their children that have ended.
        """
        total = 0
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.io_counters().read_chars
        return total


@dataclass(frozen=True)
class Remains:
    """What exists at one time and what an operation may leave behind."""

    volumes: frozenset[str]
    snapshots: frozenset[str]
    attachments: frozenset[str]
    files: frozenset[str]
    """Files of volumes, without those in which Cinder notes which snapshots there are, or have been."""
    images: frozenset[tuple[str, str]]
    """Images in Ceph and their snapshots."""
    watchers: frozenset[str]
    """Clients that have an image open."""
    children: frozenset[str]
    """Command lines of programs that read or write a volume."""

    @classmethod
    def of(cls, cloud: RealCloud, admin: Tenant) -> "Remains":
        """Look at everything that all tenants have."""
        everyone = {"all_tenants": 1}
        images = cloud.ceph.images()
        return cls(
            volumes=frozenset(each.id for each in admin.cinder.volumes.list(search_opts=everyone)),
            snapshots=frozenset(each.id for each in admin.cinder.volume_snapshots.list(search_opts=everyone)),
            attachments=frozenset(each.id for each in admin.cinder.attachments.list(search_opts=everyone)),
            files=frozenset(path.name for path in cloud.volumes.iterdir() if path.suffix != ".info"),
            images=frozenset((image, name) for image in images for name in ("", *cloud.ceph.snapshots(image))),
            watchers=frozenset(watcher for image in images for watcher in cloud.ceph.watchers(image)),
            children=frozenset(_programs(cloud.volumes.parents[1])),
        )


def _programs(state: Path) -> Iterator[str]:
    """Yield the command lines of QEMU's programs that use something of the cloud in the directory *state*."""
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(process.info["name"]).startswith("qemu-") and str(state) in line:
            yield line


def fill(cloud: RealCloud, volume_id: str, seed: str, mebibytes: int) -> None:
    """Write random data among zeros."""
    cloud.write_volume(volume_id, random_bytes(seed, mebibytes), offset=8 * MIB)


def fingerprint(cloud: RealCloud, volume_id: str) -> str:
    """Return a digest of a volume's bytes as hex. Zeros cost little."""
    digest, zeros = hashlib.sha256(), bytes(MIB)
    for number, piece in enumerate(cloud.read_volume(volume_id)):
        if piece != zeros:
            digest.update(b"%d %d " % (number, len(piece)) + piece)
    return digest.hexdigest()
