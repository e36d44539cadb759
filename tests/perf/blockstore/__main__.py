"""Benchmark of the block store in comparison with restic and borg: ``python -m tests.perf.blockstore``.

It prints figures with their goals, and writes them with all measurements to a JSON file. This is not a test: no result makes
it fail. The complete benchmark takes about half an hour and 6 GiB of disk; ``--quick`` takes some minutes. The virtual
environment should not be below ``/tmp``, where stevedore searches for plugins again at each start.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.perf.blockstore import figures, peers, volumes
from tests.perf.blockstore.figures import Bench, Figure
from tests.perf.blockstore.volumes import GIB, MIB

PARTS = ("volumes", "memory", "sparse", "collection")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.blockstore", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, one round")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; can be repeated")
    parser.add_argument("--directory", type=Path, help="directory for volumes and banks; kept if given")
    parser.add_argument("--output", type=Path, default=Path("perf-results/blockstore.json"))
    parser.add_argument(
        "--extents", action="store_true", help="also measure the second backup and the restore with random access"
    )
    parser.add_argument("--no-peers", action="store_true", help="do not run restic and borg")
    sizes = parser.add_argument_group("sizes")
    sizes.add_argument("--volume", type=int, metavar="MiB", help="of the volumes (1024; quick: 256)")
    sizes.add_argument("--rounds", type=int, help="with the volumes; the median counts (3; quick: 1)")
    sizes.add_argument("--stream", type=int, metavar="GiB", help="of the long stream (100; quick: 8)")
    sizes.add_argument("--sparse", type=int, metavar="GiB", help="of the sparse volume (1024; quick: 32)")
    sizes.add_argument(
        "--blocks", type=int, help="that are referenced when garbage is collected (1000000; quick: 100000)"
    )
    options = parser.parse_args(arguments)
    for name, full, quick in (
        ("volume", 1024, 256),
        ("rounds", 3, 1),
        ("stream", 100, 8),
        ("sparse", 1024, 32),
        ("blocks", 1_000_000, 100_000),
    ):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    return options


def machine() -> dict[str, Any]:
    """Describe the machine and versions of the measurement."""

    def first_line(*argv: str) -> str:
        try:
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "not there"

    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "restic": first_line("restic", "version"),
        "borg": first_line("borg", "--version"),
        "commit": first_line("git", "rev-parse", "HEAD"),
    }


def measure(options: argparse.Namespace, directory: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Measure the requested parts, and print each one."""
    bench = Bench(directory, lambda text: print(f"... {text}", flush=True))
    made = volumes.make(directory, options.volume)
    others = () if options.no_peers else peers.PEERS[:1] if options.quick else peers.PEERS
    jobs = {
        "volumes": lambda: figures.beside_peers(bench, made, options.rounds, others, extents=options.extents),
        "memory": lambda: figures.stream_memory(bench, options.stream * GIB),
        # Two percent are not zero: 20 GiB of 1 TiB.
        "sparse": lambda: figures.sparse_volume(bench, options.sparse * GIB, options.sparse * 20 * MIB),
        "collection": lambda: figures.collection(bench, -(-options.blocks // 4096) * 4096),
    }
    found: list[Figure] = []
    raw: dict[str, Any] = {}
    for part in options.only or PARTS:
        new, raw[part] = jobs[part]()
        for figure in new:
            print(line(figure), flush=True)
        found += new
    return found, raw


def line(figure: Figure) -> str:
    verdict = {True: "yes", False: "NO", None: ""}[figure.met]
    return f"{figure.name:<72} {figure.value:>10.2f} {figure.unit:<6} {figure.goal:<22} {verdict}".rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    lacking = [] if options.no_peers else peers.missing()
    if lacking:
        raise SystemExit(
            f"not installed: {', '.join(lacking)}; apt-get install {' '.join(peers.PACKAGES)}, or --no-peers"
        )
    described = machine()
    if described["load"] > 0.5:
        print(f"!!! this machine is busy (load {described['load']:.1f}): the figures are unreliable")
    with tempfile.TemporaryDirectory(prefix="blockstore-", dir="/var/tmp") as temporary:
        found, raw = measure(options, options.directory or Path(temporary))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    sizes = {name: getattr(options, name) for name in ("volume", "rounds", "stream", "sparse", "blocks")}
    result = {"machine": described, "sizes": sizes, "figures": [figure.to_dict() for figure in found], "measured": raw}
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    missed = [figure.name for figure in found if figure.met is False]
    print(
        f"\n{sum(figure.met is True for figure in found)} goals met, {len(missed)} missed; all of it in {options.output}"
    )


if __name__ == "__main__":
    main()
