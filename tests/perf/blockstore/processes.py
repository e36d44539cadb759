"""Execution of a program, with measurements of its time and peak memory.

Inherited memory counts towards the peak of a process, so the parent must stay small: this module does not import the package.
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
    """The measurements of one process.

    :param seconds: wall-clock time of the process
    :param cpu: seconds of CPU time, on which the load of the machine has little influence
    :param peak: maximum bytes of resident memory
    :param stolen: seconds of CPU time that the host of the virtual machine gave to others meanwhile
    """

    seconds: float
    cpu: float
    peak: int
    stolen: float


class Failed(Exception):
    """A program ended with an error. The text has the command and its output."""


def run(
    argv: Sequence[str],
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run a program and wait until it ends. Raises Failed."""
    started, stolen = time.monotonic(), _stolen()
    # An existing file is overwritten, not truncated, like a volume.
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
    """Run a program whose output must be the bytes of *expected*. The comparison is not part of the measured time.

    The output overwrites a file of that size, as a restore overwrites a volume. The time for the page cache of a new file
    varies by a second, independently of the program. Raises Failed if the output differs.
    """
    with _scribbled(expected) as output:
        warm(expected, output)
        done = run(argv, stdout=output, env=env)
        if not filecmp.cmp(output, expected, shallow=False):
            raise Failed(f"{' '.join(argv)}: the output differs from {expected}")
    return done


@contextlib.contextmanager
def _scribbled(expected: Path) -> Iterator[Path]:
    """Create a file of the size of *expected* with other contents."""
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
    """Sum the bytes of all files below *directory*."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def warm(*paths: Path) -> None:
    """Read files into the page cache and flush everything else to disk, so that no program pays for the previous one."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass
