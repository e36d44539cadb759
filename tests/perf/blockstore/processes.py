"""Runs a program and tells how long it took and how much memory it held at most.

What a process inherits counts towards its peak, so this one must stay small: no import of the package here.
"""

import contextlib
import filecmp
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """:param seconds: wall clock, from start to end of the process
    :param cpu: seconds of all processors together: what a busy machine changes little
    :param peak: bytes of memory at most (resident)
    :param stolen: seconds of all processors together that the host of a virtual machine gave to others meanwhile
    """

    seconds: float
    cpu: float
    peak: int
    stolen: float


class Failed(Exception):
    """A program ended with an error; says which, and what it printed."""


def run(
    argv: Sequence[str],
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run a program to its end. Raises Failed."""
    started, stolen = time.monotonic(), _stolen()
    # What is in the way is written over, not cut: as a volume.
    with open(stdin or os.devnull, "rb") as source, open(stdout or os.devnull, "r+b") as sink:
        process = subprocess.Popen(
            argv, stdin=source, stdout=sink, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}
        )
    assert process.stderr
    printed = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(argv)} ended with {process.returncode}:\n{printed[-4000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, _stolen() - stolen)


def run_and_compare(argv: Sequence[str], expected: Path, *, env: Mapping[str, str] | None = None) -> Run:
    """Run a program whose output must be the bytes of *expected*; comparing takes none of its time. Raises Failed where they
    are others.

    The output goes over what a file of that size holds, as that of a restore goes over a volume. What a new file's memory
    costs differs by a second from one time to the next, and has nothing to do with the program.
    """
    with _scribbled(expected) as output:
        warm(expected, output)
        done = run(argv, stdout=output, env=env)
        if not filecmp.cmp(output, expected, shallow=False):
            raise Failed(f"{' '.join(argv)} gave other bytes than {expected} has")
    return done


@contextlib.contextmanager
def _scribbled(expected: Path) -> Iterator[Path]:
    """A file as long as *expected* that holds nothing of it."""
    output = expected.with_name("restored")
    try:
        with output.open("wb") as file:
            for _ in range(0, expected.stat().st_size, 1 << 20):
                file.write(b"\xa5" * (1 << 20))
            file.truncate(expected.stat().st_size)
        yield output
    finally:
        output.unlink(missing_ok=True)


def _stolen() -> float:
    with open("/proc/stat") as file:
        return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def stored(directory: Path) -> int:
    """Bytes of all files below *directory*."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def warm(*paths: Path) -> None:
    """Have files in the page cache and everything else on disk, so that nobody pays for his predecessor."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass
