"""The measurements: each function returns figures with their goals."""

import functools
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.perf.blockstore import peers, processes
from tests.perf.blockstore.volumes import GIB, MIB, Volumes
from tests.perf.blockstore.volumes import changed as find_changed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """A measurement.

    :param value: in *unit*
    :param goal: text of the goal; empty if there is no goal
    :param met: whether the goal is met; None if there is no goal
    """

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


#: Share of one CPU that the host of a virtual machine may give to others. With a larger share, the host is what is measured.
QUIET = 0.02
#: How often a round is repeated to find such a moment.
TRIES = 3

#: Python caches compiled modules, as in an installation, regardless of the environment of the benchmark.
_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}


class Bench:
    """Runs jobs of the block store, each in its own process.

    :param directory: for banks and reports; earlier ones are deleted
    """

    def __init__(self, directory: Path, say: Say) -> None:
        self.directory = directory
        self.say = say

    def empty_bank(self, name: str) -> str:
        """Create a directory for a bank."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return str(path)

    def job(self, name: str, *, compare: Path | None = None, **arguments: Any) -> dict[str, Any]:
        """Run a job. Returns its report, with ``process_seconds``, ``process_cpu`` and ``process_stolen`` of its process: see
        :class:`tests.perf.blockstore.processes.Run`.
        """
        report = self.directory / "report.json"
        report.unlink(missing_ok=True)
        given = json.dumps({"report": str(report), **arguments})
        argv = [sys.executable, "-m", "tests.perf.blockstore.worker", name, given]
        run = (
            processes.run_and_compare(argv, compare, env=_INSTALLED) if compare else processes.run(argv, env=_INSTALLED)
        )
        found = {"process_seconds": run.seconds, "process_cpu": run.cpu, "process_stolen": run.stolen}
        return {**json.loads(report.read_text()), **found}


def measure_volumes(bench: Bench, volumes: Volumes, extents: Path | None) -> dict[str, float]:
    """Measure the block store like :func:`tests.perf.blockstore.peers.measure`.

    :param extents: JSON file with what changed; None: do not measure what has random access
    """
    bank = bench.empty_bank("bank")
    processes.warm(volumes.first)
    first = bench.job("backup", directory=bank, volume=str(volumes.first), checkpoint="one", bases=[])
    before = processes.stored(Path(bank))
    processes.warm(volumes.second)
    second = bench.job("backup", directory=bank, volume=str(volumes.second), checkpoint="two", bases=["one"])
    growth = processes.stored(Path(bank)) - before
    restore = bench.job("restore", compare=volumes.second, directory=bank, checkpoint="two")
    more, jobs = {}, [first, second, restore]
    if extents is not None:
        processes.warm(volumes.second)
        before = processes.stored(Path(bank))
        parts = bench.job(
            "backup_extents",
            directory=bank,
            volume=str(volumes.second),
            checkpoint="three",
            base="one",
            changed=str(extents),
        )
        more["extents_growth"] = processes.stored(Path(bank)) - before
        packs = bench.job("restore_extents", compare=volumes.second, directory=bank, checkpoint="three")
        for name, run in (("extents", parts), ("packs", packs)):
            more |= {
                f"{name}_seconds": run["process_seconds"],
                f"{name}_cpu": run["process_cpu"],
                f"{name}_inside_seconds": run["seconds"],
            }
            jobs.append(run)
    shutil.rmtree(bank)
    return {
        **more,
        "first_seconds": first["process_seconds"],
        "first_cpu": first["process_cpu"],
        "first_stored": before,
        "second_seconds": second["process_seconds"],
        "second_cpu": second["process_cpu"],
        "growth": growth,
        "restore_seconds": restore["process_seconds"],
        "restore_cpu": restore["process_cpu"],
        "peak": max(job["peak"] for job in jobs),
        "stolen": sum(job["process_stolen"] for job in jobs) / sum(job["process_seconds"] for job in jobs),
        "first_inside_seconds": first["seconds"],
        "second_inside_seconds": second["seconds"],
        "restore_inside_seconds": restore["seconds"],
    }


def beside_peers(
    bench: Bench, volumes: Volumes, repeat: int, others: Sequence[peers.Peer], *, extents: bool
) -> tuple[list[Figure], dict[str, Any]]:
    """Measure both backups and the restore, alternating with the other programs: the median of *repeat* rounds.

    :param extents: also measure the second backup and the restore with random access
    """
    rounds: dict[str, list[Mapping[str, float]]] = {}
    changed = bench.directory / "changed.json" if extents else None
    if changed:
        changed.write_text(json.dumps(list(find_changed(volumes))))
    measure: dict[str, Callable[[], Mapping[str, float]]] = {"ours": lambda: measure_volumes(bench, volumes, changed)}
    for peer in others:
        measure[peer.name] = functools.partial(peers.measure, peer, volumes, bench.directory)
    bench.say("once without measuring: what is compiled and cached at the first start is there afterwards")
    measure["ours"]()
    for number in range(repeat):
        for name, job in measure.items():
            bench.say(f"volumes, round {number + 1} of {repeat}: {name}")
            rounds.setdefault(name, []).append(_quietly(bench, job))
    middle = {
        name: {key: statistics.median(values[key] for values in runs) for key in runs[0]}
        for name, runs in rounds.items()
    }
    figures = [*_compared(middle), _memory("peak memory with the volumes", middle["ours"]["peak"])]
    return figures, {"median": middle, "rounds": rounds}


def _quietly(bench: Bench, job: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    """Return the measurement of *job* with little CPU time stolen by the host; otherwise the one with the least."""
    tried = []
    for _ in range(TRIES):
        tried.append(job())
        if tried[-1]["stolen"] <= QUIET:
            break
        bench.say(f"the host took {tried[-1]['stolen']:.0%} of a processor away")
    return min(tried, key=lambda found: found["stolen"])


def _memory(name: str, peak: float) -> Figure:
    return Figure(name, peak / MIB, "MiB", "at most 128 MiB", peak <= 128 * MIB)


#: Row of the report, our job, theirs, and how many times as fast as theirs ours should be.
_ROWS = (
    ("first backup", "first", "first", 3),
    ("second backup", "second", "second", 4),
    ("second backup, extents", "extents", "second", 15),
    ("restore", "restore", "restore", 3),
    ("restore, order of packs", "packs", "restore", 3),
)


def _compared(middle: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    ours = middle["ours"]
    others = {name: theirs for name, theirs in middle.items() if name != "ours"}
    yield Figure("share of a processor that the host took away", ours["stolen"], "")
    for row, job, their_job, goal in _ROWS:
        if f"{job}_seconds" not in ours:
            continue
        yield Figure(row, ours[f"{job}_seconds"], "s")
        yield Figure(f"{row}: without the start of Python and imports", ours[f"{job}_inside_seconds"], "s")
        for name, theirs in others.items():
            seconds, cpu = theirs[f"{their_job}_seconds"], theirs[f"{their_job}_cpu"]
            ratio, less = seconds / ours[f"{job}_seconds"], cpu / ours[f"{job}_cpu"]
            title = f"{row}: times as fast as {name} ({seconds:.2f} s)"
            yield _goal(title, ratio, name, f"at least {goal}", ratio >= goal)
            used = ours[f"{job}_cpu"]
            yield Figure(f"{row}: processor time, {name}'s ({cpu:.2f} s) in ours ({used:.2f} s)", less, "times")
    yield Figure("first backup: stored", ours["first_stored"] / MIB, "MiB")
    yield Figure("second backup: growth", ours["growth"] / MIB, "MiB")
    if "extents_growth" in ours:
        yield Figure("second backup, extents: growth", ours["extents_growth"] / MIB, "MiB")
    for name, theirs in others.items():
        share = ours["growth"] / theirs["growth"]
        title = f"second backup: growth, share of {name}'s ({theirs['growth'] / MIB:.1f} MiB)"
        yield _goal(title, share, name, "at most 0.25", share <= 0.25)


def _goal(title: str, value: float, peer: str, goal: str, met: bool) -> Figure:
    """Return a figure in comparison with a peer. Goals apply to restic only."""
    return Figure(title, value, "", goal, met) if peer == peers.RESTIC.name else Figure(title, value, "")


def stream_memory(bench: Bench, long: int) -> tuple[list[Figure], dict[str, Any]]:
    """Measure the peak memory with a stream of 1 GiB, and with one of *long* bytes."""
    runs = {}
    for size in (GIB, long):
        bench.say(f"memory with a stream of {size // GIB} GiB")
        runs[size] = bench.job("stream", directory=bench.empty_bank("sink"), size=size, written=None)
    short, other = runs[GIB]["peak"], runs[long]["peak"]
    return [
        _memory("peak memory, stream of 1 GiB", short),
        _memory(f"peak memory, stream of {long // GIB} GiB", other),
        Figure(
            f"peak memory, {long // GIB} GiB against 1 GiB",
            other / short,
            "",
            "within 10 %",
            abs(other / short - 1) <= 0.1,
        ),
        Figure(f"stream of {long // GIB} GiB", long / MIB / runs[long]["seconds"], "MiB/s"),
    ], {f"{size // GIB} GiB": run for size, run in runs.items()}


def sparse_volume(bench: Bench, size: int, written: int) -> tuple[list[Figure], dict[str, Any]]:
    """Measure a large volume that is mostly zeros, in comparison with only comparing it."""
    bench.say(f"sparse volume of {size // GIB} GiB: read_stream")
    runs = {"read_stream": bench.job("read_stream", size=size, written=written)}
    bench.say(f"sparse volume of {size // GIB} GiB: backup")
    run = runs["stream"] = bench.job("stream", directory=bench.empty_bank("sink"), size=size, written=written)
    # The cost of the bytes that are not zero is measured separately and subtracted.
    bench.say(f"the {written // MIB} MiB that are written in it: backup")
    alone = runs["written"] = bench.job("stream", directory=bench.empty_bank("sink"), size=written, written=written)
    zeros = (run["seconds"] - alone["seconds"]) / ((size - written) / GIB)
    read = runs["read_stream"]["seconds"] / (size / GIB)
    manifest = run["manifest_bytes"]
    extra = run["objects"] - run["packs"]
    name = f"{size // GIB} GiB with {written // MIB} MiB written"
    return [
        Figure(f"{name}: backup", run["seconds"], "s"),
        Figure(
            f"{name}: per GiB of zeros (comparing alone takes {read:.3f})",
            zeros,
            "s",
            "at most 3 x comparing",
            zeros <= 3 * read,
        ),
        Figure(f"{name}: stored for a manifest", manifest / MIB, "MiB", "under 16 MiB", manifest < 16 * MIB),
        Figure(f"{name}: objects that are not packs", extra, "", "none per zero block", extra < size // GIB + 20),
        _memory(f"{name}: peak memory", run["peak"]),
    ], runs


def collection(bench: Bench, blocks: int, parts: int = 4) -> tuple[list[Figure], dict[str, Any]]:
    """Measure the collection of a bank with a quarter, a half, three quarters and all of *blocks* blocks."""
    bank = bench.empty_bank("collected")
    runs = {}
    for part in range(1, parts + 1):
        bench.say(f"collection: {blocks * part // parts:,} blocks")
        bench.job("fill", directory=bank, checkpoint=f"checkpoint-{part}", blocks=blocks // parts)
        runs[blocks * part // parts] = bench.job("collect", directory=bank)
    shutil.rmtree(bank)
    first, last = runs[blocks // parts], runs[blocks]
    growth = last["cpu_seconds"] / first["cpu_seconds"]
    return [
        Figure(f"collection of {blocks:,} referenced blocks", last["seconds"], "s"),
        Figure(
            f"collection: processor time with {parts} times the manifests",
            growth,
            "times",
            f"about {parts} times at most",
            growth <= parts * 1.5,
        ),
        Figure("collection: peak memory", last["peak"] / MIB, "MiB", "under 256 MiB", last["peak"] < 256 * MIB),
    ], {f"{count} blocks": run for count, run in runs.items()}
