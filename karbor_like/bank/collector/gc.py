"""Garbage collection: removes packs that no manifest needs, and stale objects that crashes left behind.

A run marks the packs in use, puts the others into quarantine, and deletes them a quarantine period later.
``doc/source/contributor/bank-concurrency.rst`` proves that it never removes what a checkpoint needs, even if it is killed
anywhere, if its requests come late, or if it runs alongside writers and other runs. :meth:`Collector.plan` is a dry run.
"""

import contextlib
import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from karbor_like.bank import errors, layout
from karbor_like.bank.collector.mark import Marker
from karbor_like.bank.collector.stale import StaleObjects, StalePlan
from karbor_like.bank.collector.sweep import Amount, ProjectPlan, Sweeper, Waiting
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.lease import Lease, find_counting
from karbor_like.bank.leases.safety import Safety

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank

LOG = logging.getLogger(__name__)

#: Deletions between two checks of the collector's own lease.
_BATCH: Final = 100

#: Called with the stage ("mark", "sweep", "delete"), what is done of it, and the total (None if it is unknown).
Progress = Callable[[str, int, int | None], None]


@dataclass
class GcPlan:
    """The decisions of a run.

    :param now: the store's time of the run
    :param manifests: number of manifests that were read
    :param leases: ids of the leases that counted
    """

    now: datetime
    manifests: int = 0
    checkpoints: int = 0
    leases: Sequence[str] = ()
    projects: list[ProjectPlan] = field(default_factory=list)
    stale: StalePlan = field(default_factory=StalePlan)


@dataclass
class GcReport:
    """The results of a run, or of a dry run. Amounts are of packs, and of wrapped keys if their project has no packs.

    :param live: packs in use
    :param reclaimed: packs that were deleted; in a dry run, those that can be deleted now
    :param quarantined: packs that this run put on a quarantine list
    :param waiting: packs that are not in use and cannot be deleted yet, with the reason and the time
    :param mostly_dead: packs of which so little is in use that writers store their blocks again
    :param leftovers: stale objects that were removed: kind -> number
    :param problems: project -> why nothing of it was collected
    """

    dry_run: bool
    at: datetime
    checkpoints: int
    manifests: int
    live: Amount
    reclaimed: Amount
    quarantined: Amount
    mostly_dead: Amount
    waiting: Sequence[Waiting]
    leftovers: dict[str, int]
    problems: dict[str, str]

    @property
    def stored(self) -> Amount:
        """What the bank holds after the run: packs, also those that wait. In a dry run, without what can be reclaimed."""
        return _sum([self.live, *(item.amount for item in self.waiting)])

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON."""

        def amount(value: Amount) -> dict[str, int]:
            return {"objects": value.objects, "bytes": value.bytes}

        return {
            "dry_run": self.dry_run,
            "at": self.at.isoformat(),
            "checkpoints": self.checkpoints,
            "manifests": self.manifests,
            "live": amount(self.live),
            "reclaimed": amount(self.reclaimed),
            "quarantined": amount(self.quarantined),
            "mostly_dead": amount(self.mostly_dead),
            "waiting": [
                {"reason": item.reason, "until": item.until.isoformat() if item.until else None, **amount(item.amount)}
                for item in self.waiting
            ],
            "leftovers": self.leftovers,
            "problems": self.problems,
        }


class Collector:
    """Collects the garbage of one bank. Keeps no state between runs."""

    def __init__(self, bank: "Bank") -> None:
        self._bank = bank
        self._safety: Safety = bank.safety

    def plan(self, progress: Progress | None = None) -> GcReport:
        """Report what a run would do now, and why not more. Changes nothing; uses the clock of this host."""
        return _report(self._decide(self._bank.clock.now(), progress or _ignore), dry_run=True)

    def run(self, progress: Progress | None = None, *, alone: bool = True) -> GcReport:
        """Collect garbage.

        :param alone: give way to another collector that is running. Two collectors are safe, but wasteful
        :raises Busy: another one is running
        """
        report = progress or _ignore
        with self._bank.leases.acquire(holder=f"collector on {socket.gethostname()}:{os.getpid()}", kind="gc") as lease:
            if alone:
                self._give_way(lease)
            plan = self._decide(lease.started, report)
            self._act(plan, lease, report)
        # Its own lease was deleted, so that a full bank has room for all that it had room for before.
        if plan.checkpoints:
            self._bank.reserve.fill()
        else:
            self._bank.reserve.remove()
        return _report(plan, dry_run=False)

    def _give_way(self, lease: Lease) -> None:
        others = [
            other
            for other in self._bank.leases.list()
            if other.kind == "gc" and other.id != lease.id and other.counts(lease.started, self._safety)
        ]
        for other in others:
            if (other.started, other.id) < (lease.started, lease.id):
                raise errors.Busy(f"another collector is running in this bank: {other.holder}, since {other.started}")

    def _decide(self, now: datetime, progress: Progress) -> GcPlan:
        bank = self._bank
        leases = bank.leases.list()
        counting = find_counting(leases, now, self._safety)
        resolve_key = bank.keyring.resolve_key if bank.keyring else None
        survey = Marker(bank.store, resolve_key, lambda done: progress("mark", done, None)).walk()
        sweeper = Sweeper(bank.store, self._safety, survey, now, counting)
        manifests = sum(streams.manifests for streams in survey.streams.values())
        plan = GcPlan(now, manifests, len(survey.checkpoints), [lease.id for lease in counting])
        projects = list(sweeper.projects())
        for done, project_id in enumerate(projects, 1):
            plan.projects.append(sweeper.plan(project_id))
            progress("sweep", done, len(projects))
        plan.stale = StaleObjects(bank, self._safety, now).plan(survey, leases)
        return plan

    def _act(self, plan: GcPlan, lease: Lease, progress: Progress) -> None:
        # What frees room comes first, as the bank may be full.
        deletions = sum(len(project.delete) for project in plan.projects)
        done = 0
        for project in plan.projects:
            for batch in _batches(project.delete):
                self._remove(batch, lease)
                done += len(batch)
                progress("delete", done, deletions)
            self._remove(project.retire, lease)
        stale_objects = StaleObjects(self._bank, self._safety, plan.now)
        stale_objects.remove(plan.stale, lambda keys: self._remove(keys, lease))
        for project in plan.projects:
            lease.check()
            self._quarantine(project, plan.leases)
            self._refresh(project, lease)

    def _quarantine(self, project: ProjectPlan, leases: Sequence[str]) -> None:
        # Packs and data keys are on separate lists, because lists of data keys are kept longer.
        for packs, data_keys in ((project.condemn, ()), ((), project.condemn_keys)):
            if packs or data_keys:
                exclusions.put_lists(
                    self._bank.reserve.put,
                    layout.QUARANTINE,
                    project.project_id,
                    packs=packs,
                    data_keys=data_keys,
                    leases=leases,
                )

    def _refresh(self, project: ProjectPlan, lease: Lease) -> None:
        if project.refresh:
            try:
                exclusions.put_lists(self._bank.store.put, layout.REFRESH, project.project_id, packs=project.refresh)
            except errors.BankFull as error:
                LOG.warning(
                    "Project %s: packs that are mostly dead are kept as they are: %s", project.project_id, error
                )
                return
        self._remove(project.refresh_old, lease)

    def _remove(self, keys: Iterable[str], lease: Lease) -> None:
        for batch in _batches(keys):
            lease.check()
            for key in batch:
                with contextlib.suppress(errors.ObjectNotFound):
                    self._bank.store.delete(key)


def _batches(keys: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(keys)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


def _ignore(stage: str, done: int, total: int | None) -> None:
    """Default progress callback: does nothing."""


def _report(plan: GcPlan, *, dry_run: bool) -> GcReport:
    waiting: dict[str, Waiting] = {}
    for project in plan.projects:
        for name, item in project.waiting.items():
            _add(waiting.setdefault(name, Waiting(item.reason, item.until)).amount, item.amount)
    leftovers = {
        "leases": len(plan.stale.leases),
        "half_deleted_checkpoints": len(plan.stale.half_deleted),
        "tombstones": len(plan.stale.tombstones),
        "abandoned_checkpoints": len(plan.stale.abandoned),
        "superseded_objects": sum(map(len, plan.stale.superseded.values())),
        "index_keys": len(plan.stale.index_keys),
        "lists": sum(len(project.retire) for project in plan.projects),
    }
    return GcReport(
        dry_run=dry_run,
        at=plan.now,
        checkpoints=plan.checkpoints,
        manifests=plan.manifests,
        live=_sum(project.live for project in plan.projects),
        reclaimed=_sum(project.deleted for project in plan.projects),
        quarantined=_sum(project.condemned for project in plan.projects),
        mostly_dead=_sum(project.refreshed for project in plan.projects),
        waiting=list(waiting.values()),
        leftovers=leftovers,
        problems={project.project_id: project.problem for project in plan.projects if project.problem},
    )


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = Amount()
    for amount in amounts:
        _add(total, amount)
    return total


def _add(total: Amount, amount: Amount) -> None:
    total.objects += amount.objects
    total.bytes += amount.bytes
