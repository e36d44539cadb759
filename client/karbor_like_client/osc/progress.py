"""The progress of an operation on standard error: a bar on a terminal, otherwise lines."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from rich import console, filesize, progress

from karbor_like_client.v1.work import Callback, Progress

#: Percent between two lines.
_STEP = 10


@contextlib.contextmanager
def shown(title: str, stream: TextIO | None = None) -> Iterator[Callback]:
    """Yield what shows progress until the block ends.

    :param title: what runs
    :param stream: default: standard error, so that the output of the command can be processed
    """
    target = stream or sys.stderr
    if not target.isatty():
        yield _lines(title, target)
        return
    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=console.Console(file=target),
    )
    with bar:
        task = bar.add_task(title, total=None)
        yield lambda now: bar.update(
            task, completed=now.bytes_done, total=now.bytes_total or None, description=f"{title}: {_step(now)}"
        )


def _lines(title: str, stream: TextIO) -> Callable[[Progress], None]:
    last: list[tuple[str, str, int]] = []

    def show(now: Progress) -> None:
        tenth = now.bytes_done * 100 // now.bytes_total // _STEP if now.bytes_total else 0
        if last[-1:] == [(now.status, _queued(now), tenth)]:
            return
        last.append((now.status, _queued(now), tenth))
        total = f" of {filesize.decimal(now.bytes_total)}" if now.bytes_total else ""
        done = _queued(now) or f"{filesize.decimal(now.bytes_done)}{total}"
        print(f"{title}: {now.status}, {done}", file=stream, flush=True)

    return show


def _step(now: Progress) -> str:
    """Return the position in the queue, what the first resource in progress does, or the status."""
    steps = (resource.get("step") for resource in now.resources.values())
    return _queued(now) or next((step for step in steps if step), now.status)


def _queued(now: Progress) -> str:
    return f"queued, {now.queue['position']} of {now.queue['length']}" if now.queue else ""
