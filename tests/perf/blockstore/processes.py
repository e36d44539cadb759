"""Runs a program and tells how long it took and how much memory it held at most.

What a process inherits counts towards its peak, so this one must stay small: no import of the package here.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """:param seconds: wall clock, from start to end of the process
    :param cpu: seconds of all processors together: what a busy machine changes little
    :param peak: bytes of memory at most (resident)
    """

    seconds: float
    cpu: float
    peak: int


class Failed(Exception):
    """A program ended with an error; says which, and what it printed."""


def run(argv: Sequence[str], *, stdin: Path | None = None, env: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end. Raises Failed."""
    return _run(argv, stdin=stdin, env=env, compare=None)


def run_and_compare(argv: Sequence[str], expected: Path, *, env: Mapping[str, str] | None = None) -> Run:
    """Run a program whose output must be the bytes of a file. Raises Failed where it is not."""
    return _run(argv, stdin=None, env=env, compare=expected)


def _run(argv: Sequence[str], *, stdin: Path | None, env: Mapping[str, str] | None, compare: Path | None) -> Run:
    started = time.monotonic()
    with open(stdin or os.devnull, "rb") as source:
        process = subprocess.Popen(
            argv,
            stdin=source,
            stdout=subprocess.PIPE if compare else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
    reader = None
    if compare:
        reader = subprocess.Popen(["cmp", "-", str(compare)], stdin=process.stdout, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.close()
    assert process.stderr
    printed = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if reader:
        difference, _ = reader.communicate()
        if reader.returncode:
            raise Failed(f"{' '.join(argv)} gave other bytes: {difference.decode()}{printed[-2000:]}")
    if process.returncode:
        raise Failed(f"{' '.join(argv)} ended with {process.returncode}:\n{printed[-4000:]}")
    seconds = time.monotonic() - started
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


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
