"""Benchmark of protecting and restoring a volume, in comparison with the same steps by hand. No result makes it fail.

``python -m tests.perf.glance_path`` uses a real OpenStack, and starts it if necessary (as root on Debian). A 1 GiB volume
with 300 MiB of random data goes by hand through the steps of the Glance path (snapshot, temporary volume, image, download),
and then through a checkpoint. Its image is uploaded and turned into a volume by hand, and then the checkpoint is restored.
The memory is the peak of the processes of the protection service.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cloud.handle import RealCloud
from tests.fixtures.system import System
from tests.perf.real_system import peak_mib, real_system
from tests.scenario.tenant import MIB, VOLUME, Tenant, random_bytes, until

GOAL = 1.15
MEMORY_GOAL_MIB = 256


class Bench:
    """One volume, protected and restored by hand and through the service."""

    def __init__(self, cloud: RealCloud, system: System) -> None:
        self._system = system
        self._alice = Tenant(cloud, "alice")
        self._volume = self._alice.volume("bench")
        cloud.write_volume(self._volume.id, random_bytes(1, 300))
        self._digest = cloud.volume_digest(self._volume.id)
        self._cloud = cloud

    def by_hand_protect(self) -> None:
        cinder, glance = self._alice.cinder, self._alice.glance
        snapshot = cinder.volume_snapshots.create(self._volume.id, force=True)
        until(lambda: cinder.volume_snapshots.get(snapshot.id), lambda state: state.status == "available")
        copy = cinder.volumes.create(1, snapshot_id=snapshot.id)
        until(lambda: cinder.volumes.get(copy.id), lambda state: state.status == "available")
        _, answer = cinder.volumes.upload_to_image(copy.id, False, "bench", "bare", "raw", "private", False)
        image = answer["os-volume_upload_image"]["image_id"]
        until(lambda: glance.images.get(image), lambda state: state.status == "active")
        for _ in glance.images.data(image, do_checksum=False):
            pass
        self._clean = (image, copy.id, snapshot.id)

    def clean(self) -> None:
        """Delete what was created by hand. Not measured, although the clean-up of a checkpoint is part of its time."""
        image, volume, snapshot = self._clean
        self._alice.glance.images.delete(image)
        until(lambda: self._alice.cinder.volumes.get(volume), lambda state: state.status == "available")
        self._alice.delete_volume(volume)
        self._alice.cinder.volume_snapshots.delete(snapshot)
        until(lambda: self._alice.belongings()["snapshots"], lambda found: snapshot not in found)

    def protect(self) -> None:
        plan = self._alice.plan(self._system.file_provider, (VOLUME, self._volume))
        self.checkpoint = self._alice.protected(plan)
        assert self.checkpoint["status"] == "available", self.checkpoint["reason"]

    def by_hand_restore(self) -> None:
        glance, cinder = self._alice.glance, self._alice.cinder
        image = glance.images.create(name="bench", disk_format="raw", container_format="bare")
        glance.images.upload(image.id, _Chunks(self._cloud.read_volume(self._volume.id)), image_size=1 << 30)
        volume = cinder.volumes.create(1, imageRef=image.id)
        until(lambda: cinder.volumes.get(volume.id), lambda state: state.status == "available")
        glance.images.delete(image.id)
        self._restored = volume.id

    def restore(self) -> None:
        ((self._restored,),) = self._alice.restored(self.checkpoint).values()

    def drop(self) -> None:
        assert self._cloud.volume_digest(self._restored) == self._digest
        self._alice.delete_volume(self._restored)

    def end(self) -> None:
        self._alice.delete_volume(self._volume.id)


class _Chunks:
    """A file over an iterator of mebibytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int) -> bytes:
        assert size >= MIB
        return next(self._chunks, b"")


def _timed(work: Callable[[], Any], after: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    after()
    return seconds


def _measure(bench: Bench, rounds: int) -> dict[str, list[float]]:
    laps: dict[str, list[float]] = {"protect by hand": [], "protect": [], "restore by hand": [], "restore": []}
    for _ in range(rounds):
        laps["protect by hand"].append(_timed(bench.by_hand_protect, bench.clean))
        laps["protect"].append(_timed(bench.protect, lambda: None))
        laps["restore by hand"].append(_timed(bench.by_hand_restore, bench.drop))
        laps["restore"].append(_timed(bench.restore, bench.drop))
    return laps


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.glance_path", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("perf-results/glance_path.json"))
    options = parser.parse_args()
    with real_system(System) as (cloud, system):
        bench = Bench(cloud, system)
        laps = _measure(bench, options.rounds)
        memory = peak_mib(system)
        bench.end()
    figures: dict[str, Any] = {"laps": laps, "memory_mib": memory}
    for name in ("protect", "restore"):
        ours, theirs = statistics.median(laps[name]), statistics.median(laps[f"{name} by hand"])
        figures[name] = ours / theirs
        print(f"{name:8} {ours:6.1f} s, by hand {theirs:6.1f} s: {ours / theirs:.2f} times (goal: at most {GOAL})")
    print(f"memory   {memory:6.0f} MiB at most (goal: under {MEMORY_GOAL_MIB} MiB)")
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
