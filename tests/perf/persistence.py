"""Benchmark of the persistence of flows: ``python -m tests.perf.persistence``.

It protects a plan of 200 resources without data, with the states of the flow in the database as always, and in memory, from
which no other process could resume it. It prints the seconds of each round in turn, and the ratio of their medians. This is
not a test: no result makes it fail.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import orm
from taskflow.persistence import models
from taskflow.persistence.backends import impl_memory

# First, because the first import of oslo.service selects its backend for the process.
import karbor_like.service  # noqa: F401
from tests.functional.protection import plugins
from tests.functional.protection.site import Site, running, write_files

#: Seconds after which the benchmark gives up.
_PATIENCE = 600


class MemoryPersistence:
    """Keeps flows in this process, without transactions and fences. See ``engine.Persistence``."""

    def __init__(self) -> None:
        self._backend = impl_memory.MemoryBackend({})

    def upgrade(self) -> None:
        """There is nothing to upgrade."""

    def save(self, session: orm.Session, flow_id: str, name: str) -> None:
        """Add an empty flow."""
        book = models.LogBook(name, uuid=flow_id)
        book.add(models.FlowDetail(name, uuid=flow_id))
        self._backend.get_connection().save_logbook(book)

    def forget(self, session: orm.Session, flow_id: str) -> None:
        """Delete a flow."""
        self._backend.get_connection().destroy_logbook(flow_id)

    def backend(self, holder: Any) -> impl_memory.MemoryBackend:
        """Return the backend of all flows."""
        return self._backend


def measure(site: Site, names: Sequence[str]) -> float:
    """Return the seconds of the protect of a plan of *names*."""
    began = time.monotonic()
    created = site.protect(*names)["id"]
    row = site.wait(created, "available", "error", seconds=_PATIENCE)
    assert row.status == "available", row.reason
    return time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf.persistence", description=__doc__)
    parser.add_argument("--resources", type=int, default=200, help="resources of the plan")
    parser.add_argument("--rounds", type=int, default=3, help="protects of each kind")
    options = parser.parse_args(arguments)
    names = [f"n{number}" for number in range(options.resources)]
    seconds: dict[str, list[float]] = {"database": [], "memory": []}
    with tempfile.TemporaryDirectory(prefix="karbor_like-persistence-") as directory:
        os.environ[plugins.VARIABLE] = str(Path(directory) / "cloud")
        site = Site(Path(directory), write_files(Path(directory)))
        site.cloud.plant({name: [] for name in names})
        kept = {"database": site.env.flows.persistence, "memory": MemoryPersistence()}
        with running(site):
            measure(site, names)
            for _ in range(options.rounds):
                for kind, persistence in kept.items():
                    site.env.flows.persistence = persistence
                    seconds[kind].append(measure(site, names))
                    print(f"{kind:>10}{seconds[kind][-1]:>8.2f} s", flush=True)
    ratio = statistics.median(seconds["database"]) / statistics.median(seconds["memory"])
    print(f"{options.resources} resources: {ratio:.2f} times as long with the database")


if __name__ == "__main__":
    main()
