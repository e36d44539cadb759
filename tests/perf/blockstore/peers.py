"""The alternatives: restic and borg, with the same volumes, encrypted, into a local directory."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.perf.blockstore import processes
from tests.perf.blockstore.volumes import Volumes

PACKAGES = ("restic", "borgbackup")


@dataclass(frozen=True)
class Peer:
    """A program to compare with. ``{repository}`` stands for its directory in commands and environment."""

    name: str
    environment: Mapping[str, str]
    prepare: Sequence[str]
    backup: Sequence[Sequence[str]]
    restore: Sequence[str]


def _borg(compression: str) -> Peer:
    return Peer(
        f"borg {compression}",
        {
            "BORG_PASSPHRASE": "benchmark",
            "BORG_BASE_DIR": "{repository}.base",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        },
        ["borg", "init", "-e", "repokey-blake2", "{repository}"],
        [["borg", "create", "-C", compression, "{repository}::" + name, "-"] for name in ("a", "b")],
        ["borg", "extract", "--stdout", "{repository}::b", "stdin"],
    )


RESTIC = Peer(
    "restic",
    {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": "{repository}.cache"},
    ["restic", "init", "-q", "-r", "{repository}"],
    [["restic", "backup", "-q", "-r", "{repository}", "--stdin", "--stdin-filename", "v"]] * 2,
    ["restic", "dump", "-q", "-r", "{repository}", "latest", "v"],
)
PEERS = (RESTIC, _borg("lz4"), _borg("zstd,3"))


def missing() -> Sequence[str]:
    """Return the programs that are not installed."""
    return [program for program in ("restic", "borg") if not shutil.which(program)]


def measure(peer: Peer, volumes: Volumes, directory: Path) -> dict[str, float]:
    """Back up both volumes to a new repository, and restore the second one. Returns seconds and bytes."""
    repository = directory / "repository"
    for path in directory.glob("repository*"):
        shutil.rmtree(path)
    environment = {name: text.format(repository=repository) for name, text in peer.environment.items()}

    def filled(argv: Sequence[str]) -> Sequence[str]:
        return [text.format(repository=repository) for text in argv]

    def backup(number: int, volume: Path) -> tuple[processes.Run, int]:
        before = processes.stored(repository)
        processes.warm(volume)
        run = processes.run(filled(peer.backup[number]), stdin=volume, env=environment)
        return run, processes.stored(repository) - before

    processes.run(filled(peer.prepare), env=environment)
    first, stored = backup(0, volumes.first)
    second, growth = backup(1, volumes.second)
    restore = processes.run_and_compare(filled(peer.restore), volumes.second, env=environment)
    for path in directory.glob("repository*"):
        shutil.rmtree(path)
    return {
        "first_seconds": first.seconds,
        "first_cpu": first.cpu,
        "first_stored": stored,
        "second_seconds": second.seconds,
        "second_cpu": second.cpu,
        "growth": growth,
        "restore_seconds": restore.seconds,
        "restore_cpu": restore.cpu,
        "peak": max(first.peak, second.peak, restore.peak),
        "stolen": (first.stolen + second.stolen + restore.stolen) / (first.seconds + second.seconds + restore.seconds),
    }
