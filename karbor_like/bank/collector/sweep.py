"""The sweep phase of garbage collection: decides which packs and data keys of a project to quarantine or delete.

``doc/source/contributor/bank-concurrency.rst``, section *Nothing is lost*, proves that it is safe. This module only decides;
:mod:`karbor_like.bank.collector.gc` acts.
"""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from karbor_like.bank import errors, layout
from karbor_like.bank.collector.mark import Survey
from karbor_like.bank.leases import exclusions
from karbor_like.bank.leases.lease import LeaseInfo
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import listing
from karbor_like.bank.objectstore.base import ObjectInfo, ObjectStore

LOG = logging.getLogger(__name__)

_BATCH: Final = 1000


@dataclass
class Amount:
    """A number of objects and their bytes."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.objects += 1
        self.bytes += size


@dataclass
class Waiting:
    """Objects that are not in use and cannot be deleted yet.

    :param until: when they can be deleted at the earliest; None if that is unknown
    :param reason: what they wait for; informational
    """

    reason: str
    until: datetime | None
    amount: Amount = field(default_factory=Amount)


@dataclass
class ProjectPlan:
    """The decisions of a run about one project, with reasons.

    :param live: packs in use
    :param condemn: packs to put on a quarantine list
    :param condemn_keys: ids of data keys to put on a quarantine list
    :param delete: keys of packs and wrapped keys to delete
    :param retire: keys of lists whose entries were all deleted
    :param refresh: packs for a new refresh list; None if the existing lists name the same packs
    :param refresh_old: keys of the lists that *refresh* replaces
    :param problem: why nothing may be deleted
    """

    project_id: str
    live: Amount = field(default_factory=Amount)
    condemned: Amount = field(default_factory=Amount)
    deleted: Amount = field(default_factory=Amount)
    refreshed: Amount = field(default_factory=Amount)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    condemn: list[bytes] = field(default_factory=list)
    condemn_keys: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    retire: list[str] = field(default_factory=list)
    refresh: list[bytes] | None = None
    refresh_old: list[str] = field(default_factory=list)
    problem: str | None = None

    def wait(self, reason: str, until: datetime | None, size: int) -> None:
        """Count an object of *size* bytes that waits for *reason*."""
        self.waiting.setdefault(f"{reason} {until}", Waiting(reason, until)).amount.add(size)


class Sweeper:
    """Decides about the packs and data keys of projects.

    :param now: the store's time before *leases* were listed
    :param leases: the leases that count
    """

    def __init__(
        self, store: ObjectStore, safety: Safety, survey: Survey, now: datetime, leases: Sequence[LeaseInfo]
    ) -> None:
        self._store = store
        self._safety = safety
        self._survey = survey
        self._now = now
        self._leases = leases
        writers = [lease.started for lease in leases if lease.kind == "write"]
        self._oldest_writer = min(writers, default=None)

    def projects(self) -> Iterator[str]:
        """Go through the projects that have objects outside of checkpoints."""
        roots = (layout.DATA, layout.wrapped_keys_prefix(), layout.QUARANTINE, layout.REFRESH)
        names = {name for root in roots for name in listing.segments(self._store, root)}
        yield from sorted(names)

    def plan(self, project_id: str) -> ProjectPlan:
        """Decide about one project. The mark phase must be over."""
        plan = ProjectPlan(project_id)
        # Read after the mark phase: the proof needs that these lists existed when it was over.
        lists: Sequence[exclusions.ExclusionList] = ()
        plan.problem = self._survey.obstacle(project_id)
        try:
            lists = list(exclusions.read_lists(self._store, layout.QUARANTINE, project_id))
        except errors.UNREADABLE as error:
            LOG.warning("A quarantine list cannot be read, so nothing of its project will be collected: %s", error)
            plan.problem = plan.problem or str(error)
        pending = self._decide_packs(plan, lists)
        if not plan.problem:
            pending |= self._decide_data_keys(plan, lists)
            plan.retire = [listed.key for listed in lists if listed.key not in pending]
        return plan

    def _decide_packs(self, plan: ProjectPlan, lists: Sequence[exclusions.ExclusionList]) -> set[str]:
        """Decide about all packs. Returns the keys of the lists that still have entries."""
        listed: dict[bytes, exclusions.ExclusionList] = {}
        for each in sorted(lists, key=lambda item: item.put, reverse=True):
            listed.update(dict.fromkeys(each.packs, each))
        verdicts = {each.key: self._verdict(each) for each in lists}
        pending: set[str] = set()
        refresh: list[bytes] = []
        packs = listing.parsed(self._store, layout.packs_prefix(plan.project_id), layout.parse_pack_key)
        while batch := list(itertools.islice(packs, _BATCH)):
            ids = [bytes.fromhex(pack_id) for _, (_, pack_id) in batch]
            for (info, _), pack, live in zip(batch, ids, self._survey.used.numbers(ids), strict=True):
                if live is not None:
                    plan.live.add(info.size)
                    if live < self._safety.refresh_below * info.size and not self._young(info):
                        plan.refreshed.add(info.size)
                        refresh.append(pack)
                elif plan.problem:
                    plan.wait(f"an object of the project cannot be read: {plan.problem}", None, info.size)
                elif pack in listed:
                    pending.add(listed[pack].key)
                    self._decide_listed(plan, info, verdicts[listed[pack].key])
                else:
                    self._decide_unlisted(plan, info, pack)
        self._plan_refresh(plan, refresh)
        return pending

    def _decide_listed(self, plan: ProjectPlan, info: ObjectInfo, verdict: tuple[str, datetime | None] | None) -> None:
        if verdict is None:
            plan.delete.append(info.key)
            plan.deleted.add(info.size)
        else:
            plan.wait(*verdict, info.size)

    def _decide_unlisted(self, plan: ProjectPlan, info: ObjectInfo, pack: bytes) -> None:
        quarantine_over = self._now + self._safety.seconds("quarantine")
        if self._young(info):
            until = info.modified + self._safety.seconds("young") + self._safety.seconds("quarantine")
            plan.wait("it is too young to be collected", until, info.size)
        elif self._oldest_writer is not None and info.modified >= self._oldest_writer - self._skew:
            names = "; ".join(self._describe(lease) for lease in self._leases if lease.kind == "write")
            plan.wait(f"an active writer may have stored it: {names}", None, info.size)
        else:
            plan.condemn.append(pack)
            plan.condemned.add(info.size)
            plan.wait("it is in quarantine from this run on", quarantine_over, info.size)

    def _young(self, info: ObjectInfo) -> bool:
        return info.modified > self._now - self._safety.seconds("young")

    @property
    def _skew(self) -> timedelta:
        return self._safety.seconds("clock_skew")

    def _verdict(self, listed: exclusions.ExclusionList) -> tuple[str, datetime | None] | None:
        """Return why the entries of a list cannot be deleted now, and when they can; None if they can."""
        over = listed.put + self._safety.seconds("quarantine")
        if self._now < over:
            return "it is in quarantine", over
        seen = listed.put + self._safety.seconds("listing_lag") + self._skew
        pinning = [lease for lease in self._leases if lease.id in listed.leases or lease.started <= seen]
        if pinning:
            return "pinned by " + "; ".join(self._describe(lease) for lease in pinning), None
        return None

    def _describe(self, lease: LeaseInfo) -> str:
        state = "released, counts" if lease.released else "valid"
        return f"the {lease.kind} lease {lease.id} of {lease.holder}, {state} until {lease.ends + self._safety.grace}"

    def _plan_refresh(self, plan: ProjectPlan, packs: Sequence[bytes]) -> None:
        try:
            lists = list(exclusions.read_lists(self._store, layout.REFRESH, plan.project_id))
        except errors.UNREADABLE as error:
            # They only advise, but without reading them no writer of the project can work.
            LOG.warning("Project %s: its refresh lists are replaced: %s", plan.project_id, error)
            prefix = layout.collector_prefix(layout.REFRESH, plan.project_id)
            plan.refresh, plan.refresh_old = list(packs), [info.key for info in listing.objects(self._store, prefix)]
            return
        if set(packs) != {pack for listed in lists for pack in listed.packs}:
            plan.refresh = list(packs)
            plan.refresh_old = [listed.key for listed in lists]

    def _decide_data_keys(self, plan: ProjectPlan, lists: Sequence[exclusions.ExclusionList]) -> set[str]:
        """Decide about the data keys of a project that has nothing else. Returns the keys of lists that are still needed.

        A list of data keys is kept until they were deleted, even if the project becomes active again. Writers then use other
        keys.
        """
        wrapped = self._list_wrapped_keys(plan.project_id)
        pending = {each.key for each in lists if any(key in wrapped for key in each.data_keys)}
        packs = plan.live.objects or plan.deleted.objects or plan.waiting
        if packs or self._survey.may_have_checkpoints(plan.project_id):
            return pending
        listed = {
            key: each for each in sorted(lists, key=lambda item: item.put, reverse=True) for key in each.data_keys
        }
        for data_key_id, infos in wrapped.items():
            if data_key_id in listed:
                verdict = self._verdict(listed[data_key_id])
                for info in infos:
                    self._decide_listed(plan, info, verdict)
            else:
                if any(map(self._young, infos)) or self._oldest_writer is not None:
                    plan.wait("the first writer of its project may be active", None, sum(info.size for info in infos))
                else:
                    plan.condemn_keys.append(data_key_id)
        return pending

    def _list_wrapped_keys(self, project_id: str) -> Mapping[str, Sequence[ObjectInfo]]:
        wrapped: dict[str, list[ObjectInfo]] = {}
        prefix = layout.wrapped_keys_prefix(project_id)
        for info, (_, data_key_id, _) in listing.parsed(self._store, prefix, layout.parse_wrapped_key):
            wrapped.setdefault(data_key_id, []).append(info)
        return wrapped
