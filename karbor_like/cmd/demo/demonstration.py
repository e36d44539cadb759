"""The course of the demonstration, and its tables."""

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from rich import box, filesize, table

from karbor_like.cmd.demo.tenant import OUT, Json, Tenant

#: Characters of a value that the table shows. Whole values are compared.
_SHOWN: Final = 17

T = TypeVar("T")


class Subject(Protocol):
    """What is protected, lost and restored."""

    note: str
    """What is not compared, as a sentence."""

    def create(self) -> Json:
        """Create it, and return the resource of the plan: type, id and name."""
        ...

    def look(self) -> dict[str, str]:
        """Return what must be the same after the restore: values by what they are the values of."""
        ...

    def delete(self) -> None:
        """Delete it, and wait until nothing is left."""
        ...


def run(tenant: Tenant, subject: Subject) -> bool:
    """Protect *subject*, delete it, restore it and compare.

    :returns: whether everything is as it was
    """
    times: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.monotonic()
        result = work()
        times[name] = time.monotonic() - start
        return result

    subject.delete()  # what an earlier run left
    resource = timed("created", subject.create)
    before = subject.look()
    OUT.print(f"{resource['type']} {resource['name']!r} created")
    checkpoint = timed("protected", lambda: tenant.protect(resource))
    timed("deleted", subject.delete)
    lost = subject.look()
    OUT.print("everything deleted")
    timed("restored", lambda: tenant.restore(checkpoint))
    after = subject.look()
    OUT.print(compared(before, lost, after), *filter(None, [subject.note]), figures(checkpoint, times))
    equal = before == after
    OUT.print("Everything is as it was, bit for bit." if equal else "[red]Not everything is as it was.[/red]")
    return equal


def compared(before: Mapping[str, str], lost: Mapping[str, str], after: Mapping[str, str]) -> table.Table:
    """Return a table of the values before the loss, after it, and after the restore."""
    rows = table.Table("", "before", "lost", "restored", "equal", box=box.SIMPLE)
    for name in dict.fromkeys((*before, *after)):
        values = [found.get(name, "") for found in (before, lost, after)]
        equal = "yes" if before.get(name) == after.get(name) else "[red]NO[/red]"
        rows.add_row(name, *(_short(value) for value in values), equal)
    return rows


def figures(checkpoint: Mapping[str, int], times: Mapping[str, float]) -> table.Table:
    """Return a table of the sizes of a checkpoint, and of times in seconds."""
    rows = table.Table(show_header=False, box=box.SIMPLE)
    for name in ("logical_bytes", "new_bytes", "stored_bytes"):
        rows.add_row(name.replace("_bytes", " size"), filesize.decimal(checkpoint[name]))
    for name, seconds in times.items():
        rows.add_row(name, f"in {seconds:.1f} s")
    return rows


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"
