"""Stale objects: what crashes leave behind outside of ``data/``, and how the collector removes it."""

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.claims import WriterClaims
from karbor_like.bank.checkpoints.events import DELETED
from karbor_like.bank.collector.mark import CheckpointState, Survey
from karbor_like.bank.leases.lease import LeaseInfo
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import listing

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank

LOG = logging.getLogger(__name__)


@dataclass
class StalePlan:
    """What a run removes.

    :param leases: leases that no longer count
    :param half_deleted: ids of checkpoints whose deletion has begun, or whose ``plan.json`` was deleted
    :param tombstones: ids of checkpoints of which only the tombstone is left
    :param abandoned: ids of unfinished checkpoints without a writer
    :param superseded: id of a committed checkpoint -> keys of versions that are not valid, and of segments without a head
    :param index_keys: index keys without a checkpoint
    """

    leases: Sequence[LeaseInfo] = ()
    half_deleted: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    superseded: dict[str, Sequence[str]] = field(default_factory=dict)
    index_keys: list[str] = field(default_factory=list)


class StaleObjects:
    """Finds and removes the stale objects of one bank.

    :param now: the store's time before anything was listed
    """

    def __init__(self, bank: "Bank", safety: Safety, now: datetime) -> None:
        self._bank = bank
        self._safety = safety
        self._now = now

    def plan(self, survey: Survey, leases: Sequence[LeaseInfo]) -> StalePlan:
        """Decide what to remove. Changes nothing."""
        plan = StalePlan(leases=[lease for lease in leases if not lease.counts(self._now, self._safety)])
        active = {lease.id for lease in leases} - {lease.id for lease in plan.leases}
        for state in survey.checkpoints.values():
            quiet = self._now - state.touched
            if state.status == DELETED or not state.planned:
                if quiet >= self._safety.seconds("stale_after"):
                    (plan.tombstones if state.empty else plan.half_deleted).append(state.id)
            elif state.is_unfinished:
                if quiet >= self._safety.seconds("abandoned") and active.isdisjoint(self._find_writers(state)):
                    plan.abandoned.append(state.id)
            elif state.superseded and quiet >= self._safety.seconds("stale_after"):
                plan.superseded[state.id] = self._find_superseded(state, active)
        planned = {state.id for state in survey.checkpoints.values() if state.planned}
        plan.index_keys = self._find_orphaned_index_keys(planned)
        return plan

    def _find_writers(self, state: CheckpointState) -> Sequence[str]:
        try:
            return WriterClaims(self._bank.store, state.id).read()
        except (errors.Corrupted, errors.UnsupportedVersion) as error:
            LOG.warning("Checkpoint %s: its writers are unknown: %s", state.id, error)
            return ()

    def _find_superseded(self, state: CheckpointState, active: Set[str]) -> Sequence[str]:
        try:
            events = self._bank.checkpoints.get(state.id).events
            # A writer that took over before a listing showed it the commit may still commit. Then that commit is valid.
            if not active.isdisjoint(WriterClaims(self._bank.store, state.id).read()):
                return ()
        except (exception.CheckpointNotFound, *errors.UNREADABLE) as error:
            LOG.info("Checkpoint %s: its superseded objects are kept: %s", state.id, error)
            return ()
        # The pins of every commit count: a reader may see only one of several yet.
        commits = [event.pins for event in events if event.pins is not None]
        valid = {key for pins in commits for key in pins.values()}
        names = {prefix for pins in commits for prefix in pins}
        # A name that no commit pinned keeps all its versions. A pinned name keeps the pinned ones only.
        return [
            key
            for key in (state.superseded if commits else ())
            if layout.kind_of(key) == "segments" or (layout.name_prefix(key) in names and key not in valid)
        ]

    def _find_orphaned_index_keys(self, planned: set[str]) -> list[str]:
        orphaned = []
        for info, name in listing.parsed(self._bank.store, layout.INDICES, layout.parse_index_key):
            old = info.modified <= self._now - self._safety.seconds("stale_after")
            if name.checkpoint_id not in planned and old and not self._is_planned(name.checkpoint_id):
                orphaned.append(info.key)
        return orphaned

    def _is_planned(self, checkpoint_id: str) -> bool:
        return self._bank.store.exists(layout.plan_key(checkpoint_id))

    def remove(self, plan: StalePlan, delete: Callable[[Sequence[str]], None]) -> None:
        """Remove what :meth:`plan` decided.

        :param delete: deletes objects by their keys
        """
        for lease in plan.leases:
            self._bank.leases.remove(lease)
        for checkpoint_id in plan.half_deleted:
            self._bank.checkpoints.delete(checkpoint_id)
        delete([layout.tombstone_key(checkpoint_id) for checkpoint_id in plan.tombstones])
        for checkpoint_id in plan.abandoned:
            self._give_up(checkpoint_id)
        for keys in plan.superseded.values():
            delete(keys)
        delete(plan.index_keys)

    def _give_up(self, checkpoint_id: str) -> None:
        reason = f"abandoned: it has not changed for {self._safety.abandoned / 86400:g} days"
        try:
            self._bank.checkpoints.abandon(checkpoint_id, reason)
        except (
            exception.NotFound,
            exception.Conflict,
            errors.BankFull,
            errors.InvalidKey,
            *errors.UNREADABLE,
        ) as error:
            LOG.warning("Checkpoint %s: is abandoned, and could not be given an error event: %s", checkpoint_id, error)
