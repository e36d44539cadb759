"""What crashes leave behind outside of ``data/``, and what the collector does about it."""

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.events import DELETED, ERROR
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.collector.mark import CheckpointState, Survey
from karbor_like.bank.leases.lease import LeaseInfo
from karbor_like.bank.leases.safety import Safety
from karbor_like.bank.objectstore import listing

if TYPE_CHECKING:
    from karbor_like.bank.bank import Bank

LOG = logging.getLogger(__name__)


@dataclass
class StalePlan:
    """What is to be cleared away.

    :param leases: that no longer count
    :param half_deleted: ids of checkpoints whose deletion was begun or whose ``plan.json`` is gone
    :param tombstones: ids of checkpoints of which nothing else is left
    :param abandoned: ids of checkpoints that nobody finishes
    :param superseded: id of a committed checkpoint -> keys of attempts that are not valid, and of segments without a head
    :param index_keys: of checkpoints that there are not
    """

    leases: Sequence[LeaseInfo] = ()
    half_deleted: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    superseded: dict[str, Sequence[str]] = field(default_factory=dict)
    index_keys: list[str] = field(default_factory=list)


class StaleObjects:
    """Finds and clears leftovers of one bank.

    :param now: the store's time before anything was listed
    """

    def __init__(self, bank: "Bank", safety: Safety, now: datetime) -> None:
        self._bank = bank
        self._safety = safety
        self._now = now

    def plan(self, survey: Survey, leases: Sequence[LeaseInfo]) -> StalePlan:
        """Decide. Changes nothing."""
        plan = StalePlan(leases=[lease for lease in leases if not lease.counts(self._now, self._safety)])
        at_work = {lease.id for lease in leases} - {lease.id for lease in plan.leases}
        for state in survey.checkpoints.values():
            quiet = self._now - state.touched
            if state.status == DELETED or not state.planned:
                if quiet >= self._safety.seconds("leftovers"):
                    (plan.tombstones if state.empty else plan.half_deleted).append(state.id)
            elif state.unfinished:
                if quiet >= self._safety.seconds("abandoned") and at_work.isdisjoint(self._writers(state)):
                    plan.abandoned.append(state.id)
            elif state.superseded and quiet >= self._safety.seconds("leftovers"):
                plan.superseded[state.id] = self._superseded(state, at_work)
        planned = {state.id for state in survey.checkpoints.values() if state.planned}
        plan.index_keys = self._index_keys(planned)
        return plan

    def _writers(self, state: CheckpointState) -> Sequence[str]:
        try:
            return ObjectVersions(self._bank.store, state.id).claims()
        except (errors.Corrupted, errors.UnsupportedVersion) as error:
            LOG.warning("%s; it is not known who wrote checkpoint %s", error, state.id)
            return ()

    def _superseded(self, state: CheckpointState, at_work: Set[str]) -> Sequence[str]:
        try:
            events = self._bank.checkpoints.get(state.id).events
            # Who took over because no listing showed him the commit yet may still commit too, and then his is the valid one.
            if not at_work.isdisjoint(ObjectVersions(self._bank.store, state.id).claims()):
                return ()
        except (exception.CheckpointNotFound, *errors.UNREADABLE) as error:
            LOG.info("attempts in checkpoint %s are left alone: %s", state.id, error)
            return ()
        # Of every commit, should there be several: a reader may see only one of them yet.
        commits = [event.pins for event in events if event.pins is not None]
        valid = {key for pins in commits for key in pins.values()}
        names = {prefix for pins in commits for prefix in pins}
        # A name that no commit pinned keeps all its attempts; a pinned one keeps the pinned ones only.
        return [
            key
            for key in (state.superseded if commits else ())
            if layout.kind_of(key) == "segments" or (layout.name_prefix(key) in names and key not in valid)
        ]

    def _index_keys(self, planned: set[str]) -> list[str]:
        gone = []
        for info, name in listing.parsed(self._bank.store, layout.INDICES, layout.parse_index_key):
            old = info.modified <= self._now - self._safety.seconds("leftovers")
            if name.checkpoint_id not in planned and old and not self._planned(name.checkpoint_id):
                gone.append(info.key)
        return gone

    def _planned(self, checkpoint_id: str) -> bool:
        return self._bank.store.exists(layout.plan_key(checkpoint_id))

    def clear(self, plan: StalePlan, remove: Callable[[Sequence[str]], None]) -> None:
        """Do what was decided.

        :param remove: deletes objects by their keys
        """
        for lease in plan.leases:
            self._bank.leases.remove(lease)
        for checkpoint_id in plan.half_deleted:
            self._bank.checkpoints.delete(checkpoint_id)
        remove([layout.tombstone_key(checkpoint_id) for checkpoint_id in plan.tombstones])
        for checkpoint_id in plan.abandoned:
            self._give_up(checkpoint_id)
        for keys in plan.superseded.values():
            remove(keys)
        remove(plan.index_keys)

    def _give_up(self, checkpoint_id: str) -> None:
        reason = f"nothing was written to it for {self._safety.abandoned / 86400:g} days, and nobody has completed it"
        try:
            self._bank.checkpoints.event(checkpoint_id, ERROR, {"reason": reason})
            # It may have been killed before it had its index keys, and only what is listed can be deleted.
            self._bank.checkpoints.index(self._bank.checkpoints.get(checkpoint_id))
        except (exception.NotFound, exception.Conflict, errors.Corrupted, errors.KeyUnavailable) as error:
            LOG.warning("abandoned checkpoint %s could not be given up: %s", checkpoint_id, error)
