"""``python -m tests.faults.soak``: many small cycles, after which everything must be as before.

A cycle protects, restores and deletes. Meanwhile the collector runs, and services are killed. At the end, the time of the
cloud passes until the collector may delete everything, and old rows are purged. The table shows what is left.
"""

import argparse
import random
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa

# First, because the first import of oslo.service selects its backend for the process.
import karbor_like.service  # noqa: F401
from karbor_like.bank import errors
from karbor_like.bank.collector import Collector
from karbor_like.db.models import Base
from karbor_like.db.purge import purge
from tests.faults.subjects import SUBJECTS, remove
from tests.faults.system import GLANCE, System, running

_DAY = 86400.0
#: Cycles after its start in which a process grows to its usual size.
WARM_UP = 2


@dataclass(frozen=True)
class Usage:
    """What a process uses.

    :param memory: resident, MiB
    """

    memory: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        process = psutil.Process(pid)
        with process.oneshot():
            return cls(process.memory_info().rss / (1 << 20), process.num_threads(), process.num_fds())


@dataclass(frozen=True)
class Remains:
    """What is stored."""

    rows: int
    objects: int
    resources: int


class Soak:
    """A soak of a running system.

    :param seed: of the choice of the services to kill, and of the moments
    """

    def __init__(self, system: System, seed: str = "soak") -> None:
        self._system = system
        self._chance = random.Random(seed)
        self._subject = SUBJECTS["volume"]
        self._ended = threading.Event()
        before = system.belongings()
        resource = self._subject.make(system)
        self._plan_id = system.plan_of(GLANCE, resource)
        self._content = self._subject.content(system, system.belongings() - before)
        self.cycle()
        self.before = self.settle()
        #: pid -> usage after its warm-up and at its end
        self.usage: dict[int, tuple[Usage, Usage]] = {}
        self._age: dict[int, int] = {}

    def run(self, cycles: int, kill_every: int) -> None:
        """Run cycles while the collector runs. After each *kill_every* of them, a service is killed during one."""
        collector = threading.Thread(target=self._collect, daemon=True)
        collector.start()
        try:
            for number in range(1, cycles + 1):
                victim = None
                if number % kill_every == 0:
                    machine = self._chance.choice(self._system.machines)
                    victim = threading.Timer(self._chance.uniform(0, 2), machine.kill)
                    victim.start()
                self.cycle()
                if victim is not None:
                    victim.join()
                self._measure()
        finally:
            self._ended.set()
            collector.join()

    def cycle(self) -> None:
        """Protect, restore, delete the restored volume and the checkpoint."""
        system = self._system
        before = system.belongings()
        created = system.protect(plan_id=self._plan_id, provider_id=GLANCE)["id"]
        self._wait("available", checkpoint_id=created)
        restore_id = system.restore(created, provider_id=GLANCE)
        self._wait("success", restore_id=restore_id)
        restored = system.belongings() - before
        assert self._subject.content(system, restored) == self._content
        remove(system, restored)
        system.delete(created, GLANCE)
        self._wait("deleted", checkpoint_id=created, operation_type="delete")

    def _wait(self, status: str, **equal: str) -> None:
        row = self._system.wait_ended(ensure=True, **equal)
        assert row.status == status, f"{row.operation_type}: {row.error_info}"

    def _collect(self) -> None:
        bank = self._system.bank(GLANCE)
        while not self._ended.wait(1.0):
            try:
                Collector(bank).run()
            except errors.Busy:
                continue

    def _measure(self) -> None:
        for pid in [machine.pid for machine in self._system.machines if machine.pid is not None]:
            self._age[pid] = self._age.get(pid, 0) + 1
            if self._age[pid] >= WARM_UP:
                now = Usage.of(pid)
                self.usage[pid] = (self.usage.get(pid, (now, now))[0], now)

    def settle(self) -> Remains:
        """Let time pass until nothing has to be kept, collect and purge. Return what is left."""
        bank = self._system.bank(GLANCE)
        # A quarantine, and the removal of its list.
        for _ in range(4):
            self._system.pass_time(_DAY + 7200)
            Collector(bank).run()
        purge(self._system.env.database, 0)
        with self._system.env.database.reader() as session:
            rows = sum(
                int(session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
                for table in Base.metadata.sorted_tables
            )
        objects = len(self._system.stored(GLANCE, ""))
        return Remains(rows + self._system.flows(), objects, len(self._system.belongings()))

    def table(self, after: Remains) -> str:
        """Return what was measured as text."""
        lines = [f"{'':24}{'before':>12}{'after':>12}"]
        for name, value in asdict(self.before).items():
            lines.append(f"{name:24}{value:12}{asdict(after)[name]:12}")
        for pid, (first, last) in self.usage.items():
            for name, value in asdict(first).items():
                lines.append(f"{name + f' of {pid}':24}{value:12.0f}{asdict(last)[name]:12.0f}")
        return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak.

    :returns: exit code, 1 if rows, objects or resources are left
    """
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=500, help="cycles of protect, restore and delete (500)")
    parser.add_argument("--kill-every", type=int, default=25, help="cycles from one kill of a service to the next (25)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="karbor_like-soak-") as directory, running(Path(directory)) as system:
        soak = Soak(system)
        soak.run(options.cycles, options.kill_every)
        after = soak.settle()
        print(soak.table(after))
    return 0 if after == soak.before else 1


if __name__ == "__main__":
    sys.exit(main())
