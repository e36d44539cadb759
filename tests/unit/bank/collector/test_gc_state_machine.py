"""Concurrent writers, deletions and collectors, interleaved, stopped and killed at any call to the store.

The clocks of their hosts are set at will, and the listings of the store lag. At any time, an available checkpoint has
everything that it needs, and reads back byte for byte. At the end, when everything was deleted and time has passed, the
bank is empty.

The number of steps is that of a profile: ``KARBOR_LIKE_HYPOTHESIS_PROFILE=developer`` takes some seconds, ``ci`` (the
default) takes at least 20,000 steps.
"""

import contextlib
import dataclasses
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Set
from datetime import datetime
from functools import partial
from typing import Literal, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.bank import Bank
from karbor_like.bank.checkpoints.events import pins_of
from karbor_like.bank.checkpoints.plans import CheckpointRecord
from karbor_like.bank.checkpoints.section import ResourceSection, StreamStats
from karbor_like.bank.checkpoints.versions import ObjectVersions
from karbor_like.bank.collector.gc import Collector
from karbor_like.bank.format import manifest
from karbor_like.bank.leases.safety import TEST
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock
from tests.fixtures.stores import EventualStore
from tests.unit.bank import banks
from tests.unit.bank.hosts import Host, Noted
from tests.unit.bank.sources import MemorySource

#: Examples and steps of each.
PROFILES = {"developer": (20, 50), "ci": (440, 50)}
LEAST_STEPS = {"developer": 0, "ci": 20_000}
PROFILE = os.environ.get("KARBOR_LIKE_HYPOTHESIS_PROFILE", "ci")

WRITERS = ("writer-1", "writer-2")
COLLECTORS = ("collector-1", "collector-2")
HOSTS = WRITERS + COLLECTORS
PROJECTS = ("p1", "p1", "p1", "p2")
VOLUMES = ("OS::Cinder::Volume#v1", "OS::Cinder::Volume#v2")

#: Errors of processes that were late, were taken over, or lost the objects that they worked on.
EXPECTED = (errors.LeaseLost, exception.Conflict, exception.NotFound, errors.Corrupted)

_ALL = 10**6
#: Seconds between renewals of a lease, and seconds after which everything has expired.
_RENEWAL = 40
_DAYS = int(TEST.lease_duration + TEST.quarantine + TEST.grace.total_seconds()) + 1


class How(NamedTuple):
    """How far a process gets.

    :param calls: calls to the store that it makes now, before it stops
    :param fate: what happens to the process then; "" lets it continue later
    """

    calls: int
    fate: Literal["", "killed", "killed after the next call"] = ""


TO_THE_END = How(_ALL)
HOW = st.one_of(
    st.just(TO_THE_END),
    st.builds(How, st.integers(0, 150), st.sampled_from(["", "", "", "killed", "killed after the next call"])),
)

counts = Counter[str]()


class BankMachine(RuleBasedStateMachine):
    """What may happen. All time is the store's; it passes only by :meth:`time_passes`."""

    @initialize(seed=st.integers(0, 2**16))
    def some_checkpoints(self, seed: int) -> None:
        counts["examples"] += 1
        self.true = ManualClock()
        self.raw = MemoryStore(self.true)
        self.store = EventualStore(self.raw, self.true, TEST.listing_lag, seed)
        self.history: list[Noted] = []
        self.hosts = {name: Host(name, self.store, self.true, self.history) for name in HOSTS}
        self.random = random.Random(seed)
        self.projects: dict[str, str] = {}  # checkpoint id -> project
        self.planned: dict[str, tuple[str, ...]] = {}  # checkpoint id -> volumes
        self.done: set[tuple[str, str]] = set()  # checkpoint id, volume or "": it was reported as written
        self.contents: dict[tuple[str, str], list[bytes]] = {}  # checkpoint id, volume -> what was ever written for it
        self.created: dict[str, datetime] = {}
        self.needs: dict[str, set[str]] = {}  # commit event -> keys of everything that it promises
        for project in PROJECTS:
            checkpoint_id = self._plan(project, VOLUMES)
            self._begin(
                WRITERS[0],
                f"protect {checkpoint_id}",
                self._writing(self.hosts[WRITERS[0]], checkpoint_id, VOLUMES, 6),
                TO_THE_END,
            )
            self.time_passes(int(TEST.grace.total_seconds()))

    # A process begins an operation, and makes a number of calls to the store.

    @rule(
        writer=st.sampled_from(WRITERS),
        project=st.sampled_from(PROJECTS),
        volumes=st.integers(1, 2),
        change=st.integers(0, 12),
        how=HOW,
    )
    def protect(self, writer: str, project: str, volumes: int, change: int, how: How) -> None:
        checkpoint_id = self._plan(project, VOLUMES[:volumes])
        self._begin(
            writer,
            f"protect {checkpoint_id}",
            self._writing(self.hosts[writer], checkpoint_id, VOLUMES[:volumes], change),
            how,
        )

    @rule(
        writer=st.sampled_from(WRITERS),
        which=st.integers(0, 3),
        volumes=st.integers(0, 2),
        change=st.integers(0, 12),
        how=HOW,
    )
    def take_over(self, writer: str, which: int, volumes: int, change: int, how: How) -> None:
        """Another process continues a protect operation. It writes some of the finished volumes again."""
        checkpoint_id = list(self.projects)[-1 - which]
        undone = [v for v in self.planned[checkpoint_id] if (checkpoint_id, v) not in self.done]
        again = [v for v in self.planned[checkpoint_id] if v in undone or v in VOLUMES[:volumes]]
        self._begin(
            writer,
            f"take over {checkpoint_id}",
            self._writing(self.hosts[writer], checkpoint_id, tuple(again), change),
            how,
        )

    @rule(host=st.sampled_from(HOSTS), which=st.integers(0, 5), how=HOW)
    def delete(self, host: str, which: int, how: How) -> None:
        checkpoint_id = list(self.projects)[-1 - which % len(self.projects)]
        self._begin(host, f"delete {checkpoint_id}", partial(self._deletion, checkpoint_id), how)

    @rule(host=st.sampled_from(HOSTS))
    def delete_all_that_are_available(self, host: str) -> None:
        """Delete also those that a writer is building on."""
        bank = banks.make_bank(self.raw, clock=self.true, threads=1)
        for checkpoint_id in [
            entry.id for entry in bank.checkpoints.index.list() if self._is_available(bank, entry.id)
        ]:
            self._begin(host, f"delete {checkpoint_id}", partial(self._deletion, checkpoint_id), TO_THE_END)

    @staticmethod
    def _deletion(checkpoint_id: str, bank: Bank) -> None:
        bank.checkpoints.delete(checkpoint_id)

    @rule(collector=st.sampled_from(COLLECTORS), how=HOW, wait=st.sampled_from([0, int(TEST.quarantine)]))
    def collects(self, collector: str, how: How, wait: int) -> None:
        self.collect(collector, how, wait)

    @rule(collector=st.sampled_from(COLLECTORS))
    def collect_for_days(self, collector: str) -> None:
        """Run often and long enough to delete all that may be deleted. Processes that were stopped do not continue."""
        for _ in range(3):
            before, complete = set(self.raw._keys), counts["collections"] + 1
            continues = self.hosts[collector].busy
            self.collect(collector, TO_THE_END, _DAYS)
            # A whole run that found nothing to do, when all that can expire had expired, would find nothing again.
            if not continues and counts["collections"] == complete and set(self.raw._keys) == before:
                break

    def collect(self, collector: str, how: How, wait: int) -> None:
        def work(bank: Bank) -> None:
            report = Collector(bank).run(alone=False)
            counts["collections"] += 1
            counts["packs collected"] += report.reclaimed.objects

        self.time_passes(wait)
        self._begin(collector, "collect", work, how)

    @rule(
        host=st.sampled_from(WRITERS),
        which=st.integers(0, 5),
        status=st.sampled_from(["error", "available"]),
        how=HOW,
    )
    def say(self, host: str, which: int, status: str, how: How) -> None:
        """Give an operation up, or reset a checkpoint to available."""
        checkpoint_id = list(self.projects)[-1 - which % len(self.projects)]
        self._begin(
            host, f"say {checkpoint_id} {status}", lambda bank: bank.checkpoints.event(checkpoint_id, status), how
        )

    @rule(
        what=st.sampled_from(["protect", "collect", "delete"]),
        stop=st.integers(0, 150),
        meanwhile=st.lists(st.sampled_from(["delete", "collect", "collect for days", "protect", "wait"]), max_size=3),
        then=HOW,
    )
    def interrupt(self, what: str, stop: int, meanwhile: list[str], then: How) -> None:
        """Stop a process at some call, let others work, then let it continue."""
        host = COLLECTORS[0] if what == "collect" else WRITERS[0]
        self._do(what, host, How(stop))
        for other in meanwhile:
            self._do(other, COLLECTORS[1] if other.startswith("collect") else WRITERS[1], TO_THE_END)
        self._go(host, then)

    def _do(self, what: str, host: str, how: How) -> None:
        match what:
            case "protect":
                self.protect(host, PROJECTS[0], 1, 3, how)
            case "delete":
                self.delete_all_that_are_available(host)
            case "collect":
                self.collect(host, how, 21)
            case "collect for days":
                self.collect_for_days(host)
            case "wait":
                self.time_passes(101)

    # It continues, stops, or ends.

    @rule(host=st.sampled_from(HOSTS), how=HOW)
    def go_on(self, host: str, how: How) -> None:
        self._go(host, how)

    @rule(
        seconds=st.sampled_from([1, 10, 21, 40, 61, 101, 150, 400]), asleep=st.sets(st.sampled_from(HOSTS), max_size=2)
    )
    def time_passes(self, seconds: int, asleep: Set[str] = frozenset()) -> None:
        """Let time pass, and renew the leases meanwhile, except for those of hosts that are asleep."""
        for passed in range(0, seconds, _RENEWAL):
            self.true.advance(min(seconds - passed, _RENEWAL))
            for name in HOSTS:
                if name not in asleep:
                    self.hosts[name].renew()

    @rule(host=st.sampled_from(HOSTS), seconds=st.sampled_from([-100_000, -90, -3, 3, 90, 100_000]))
    def clock_is_set(self, host: str, seconds: int) -> None:
        self.hosts[host].clock.step(seconds)

    # What holds.

    @invariant()
    def available_checkpoints_are_whole(self) -> None:
        counts["steps"] += 1
        there = set(self.raw._keys)
        for key in there:
            if key.endswith("-available.json") and self._stands(key.split("/")[1], there):
                if not self.needs.get(key, {""}) <= there:
                    # Seen for the first time; or a name that the commit did not pin has another valid object by now.
                    self.needs[key] = self._promised(key)
                missing = self.needs[key] - there
                assert not missing, self._what_happened(f"{key} promises what is not there: {missing}", key)

    def teardown(self) -> None:
        for host in self.hosts.values():
            counts["calls"] += host.gate.calls
            host.crash(after_next=False)
        counts["commits"] += len(self.needs)
        self.store.settle()
        bank = banks.make_bank(self.store, clock=self.true, threads=1)
        for checkpoint_id in list(bank.checkpoints.ids()):
            self._check_content(bank, checkpoint_id)
            bank.checkpoints.delete(checkpoint_id)
        for _ in range(20):
            if not self.raw._keys:
                return
            self.true.advance(_DAYS)
            Collector(bank).run()
        raise AssertionError(
            self._what_happened(f"everything was deleted, but the bank still has {self.raw._keys}", self.raw._keys[0])
        )

    # How.

    def _what_happened(self, problem: str, key: str) -> str:
        """All that was done to the checkpoint or project of *key*, and who did what else."""
        prefix = "/".join(key.split("/")[:2]) if key else "/"
        history = map(str, self.history)
        lines = [line for line in history if prefix in line or "/" not in line or "quarantine" in line]
        return "\n".join([problem, *lines])

    def _plan(self, project: str, volumes: tuple[str, ...]) -> str:
        checkpoint_id = f"c{len(self.projects)}"
        self.projects[checkpoint_id] = project
        self.planned[checkpoint_id] = volumes
        return checkpoint_id

    def _begin(self, name: str, what: str, work: Callable[[Bank], None], how: How) -> None:
        if not self.hosts[name].busy:
            self.hosts[name].log(f"begins {what}")
            self.hosts[name].begin(work)
        self._go(name, how)

    def _go(self, name: str, how: How) -> None:
        host = self.hosts[name]
        if not host.busy:
            return
        error = host.go(how.calls)
        if error is not None:
            counts[type(error).__name__] += 1
            # Writers check before their commit that packs exist. Safety must not depend on that check.
            if not isinstance(error, EXPECTED) or "pack" in str(error):
                raise AssertionError(self._what_happened(repr(error), "")) from error
        if host.busy and how.fate:
            counts["crashes"] += 1
            host.crash(after_next=how.fate != "killed")

    def _writing(self, host: Host, checkpoint_id: str, volumes: tuple[str, ...], change: int) -> Callable[[Bank], None]:
        project = self.projects[checkpoint_id]
        data = {volume: self._data(project, volume, change) for volume in volumes}
        for volume in volumes:
            self.contents.setdefault((checkpoint_id, volume), []).append(data[volume])
        by_extents = {volume: self.random.random() < 0.5 for volume in volumes}

        def work(bank: Bank) -> None:
            entries = bank.checkpoints.index.list(project_id=project, limit=3)
            bases = [entry.id for entry in entries if self._is_available(bank, entry.id)]
            with bank.leases.acquire(holder=checkpoint_id, bases=bases) as lease:
                host.lease = lease
                if (checkpoint_id, "") not in self.done:
                    bank.checkpoints.create(self._record(checkpoint_id), lease)
                    self.done.add((checkpoint_id, ""))
                for volume in volumes:
                    section = bank.section(checkpoint_id, project, volume, lease=lease)
                    section.put("metadata", {"volume": volume})
                    others = [base for base in bases if base != checkpoint_id]
                    if by_extents[volume]:
                        stats = self._write_extents(bank, section, data[volume], others)
                    else:
                        sections = self._sections(bank, others, project, volume)
                        stats = section.write("data", [data[volume]], bases=sections)
                    counts["bytes not stored again"] += stats.logical - stats.new
                    self.done.add((checkpoint_id, volume))
                bank.checkpoints.commit(checkpoint_id, lease)

        return work

    def _write_extents(self, bank: Bank, section: ResourceSection, data: bytes, bases: list[str]) -> StreamStats:
        """Write *data*, of which only what differs from the newest of *bases* is read."""
        source = MemorySource(data, grain=banks.BLOCK)
        for base in bases:
            with contextlib.suppress(exception.CheckpointNotFound, errors.BankError):
                record = bank.checkpoints.get(base)
                if pins_of(record.events):
                    raw = banks.make_bank(self.raw, clock=self.true, threads=1)
                    before = banks.read(raw.section_of(record, section.resource_key))
                    # What the base had is known, but what is left of it may be anything by now.
                    counts["entries taken over"] += len(data) // banks.BLOCK
                    taken = bank.section_of(record, section.resource_key)
                    break
        else:
            return section.write_extents("data", source)
        return section.write_extents("data", source, base=taken, changed=list(source.changed(before)))

    def _record(self, checkpoint_id: str) -> CheckpointRecord:
        # By the true time, so that what is newest is what is built on.
        record = banks.record(checkpoint_id, self.projects[checkpoint_id])
        return dataclasses.replace(record, created_at=self.created.setdefault(checkpoint_id, self.true.now()))

    @staticmethod
    def _sections(bank: Bank, bases: list[str], project: str, volume: str) -> list[ResourceSection]:
        found = []
        for base in bases:
            with contextlib.suppress(exception.CheckpointNotFound):  # deleted since
                found.append(bank.section(base, project, volume))
        return found

    @staticmethod
    def _is_available(bank: Bank, checkpoint_id: str) -> bool:
        try:
            return bank.checkpoints.get(checkpoint_id).status == "available"
        except exception.CheckpointNotFound:
            return False

    def _data(self, project: str, volume: str, change: int) -> bytes:
        """What a volume holds now: mostly what it held before."""
        old = next(
            (c[-1] for (i, v), c in reversed(self.contents.items()) if v == volume and self.projects[i] == project),
            None,
        )
        blocks = [self.random.randbytes(banks.BLOCK) for _ in range(12)]
        if old is not None:
            blocks = [old[at : at + banks.BLOCK] for at in range(0, len(old), banks.BLOCK)]
        for number in range(change):
            blocks[(number * 5) % len(blocks)] = self.random.choice(
                [bytes(banks.BLOCK), self.random.randbytes(banks.BLOCK)]
            )
        return b"".join(blocks)

    @staticmethod
    def _stands(checkpoint_id: str, there: set[str]) -> bool:
        return layout.plan_key(checkpoint_id) in there and layout.tombstone_key(checkpoint_id) not in there

    def _promised(self, commit: str) -> set[str]:
        """Everything without which the checkpoint of a commit event cannot be restored. Also reads it."""
        bank = banks.make_bank(self.raw, clock=self.true, threads=1)
        checkpoint_id = commit.split("/")[1]
        self._check_content(bank, checkpoint_id)
        project = self.projects[checkpoint_id]
        events = bank.checkpoints.get(checkpoint_id).events
        found = {event.key: event.pins for event in events}
        if found[commit] != pins_of(events):
            return set()  # a later claim's commit took its place
        attempts = ObjectVersions(self.raw, checkpoint_id, found[commit])
        needed = {layout.plan_key(checkpoint_id)}
        for volume in self.planned[checkpoint_id]:
            needed.add(attempts.valid(layout.document_prefix(checkpoint_id, volume, "metadata")))
            key = attempts.valid(layout.manifest_prefix(checkpoint_id, volume, "data"))
            head = manifest.read_head(self.raw, key, bank.keyring.resolve_key)
            needed.add(key)
            needed |= {head.segment_key(ref.number) for ref in head.segments}
            needed |= {
                layout.pack_key(project, use.pack)
                for use in manifest.pack_uses(self.raw, head, bank.keyring.resolve_key)
            }
            needed.add(layout.wrapped_key(project, head.data_key, "m1"))
        return needed

    def _check_content(self, bank: Bank, checkpoint_id: str) -> None:
        """Check that an available checkpoint holds, for each of its volumes, what a process wrote, byte for byte."""
        try:
            record = bank.checkpoints.get(checkpoint_id)
        except exception.CheckpointNotFound:
            return
        if record.status == "available":
            for volume in self.planned[checkpoint_id]:
                section = bank.section(checkpoint_id, record.project_id, volume)
                try:
                    assert section.get("metadata") == {"volume": volume}
                    assert banks.read(section) in self.contents[checkpoint_id, volume]
                except (AssertionError, errors.BankError) as error:
                    raise AssertionError(self._what_happened(repr(error), layout.plan_key(checkpoint_id))) from error


@pytest.mark.no_cover  # minutes even so
@pytest.mark.timeout(1500)
def test_nothing_is_lost_and_nothing_stays() -> None:
    examples, steps = PROFILES[PROFILE]
    # Some examples end early, so their number alone does not say how much was tried.
    while examples:
        run_state_machine_as_test(
            BankMachine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                database=None,
                phases=[Phase.generate],  # threads do not run twice alike, so there is no shrinking
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert counts["steps"] > 0
        examples = math.ceil(max(0, LEAST_STEPS[PROFILE] - counts["steps"]) / steps)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))  # noqa: T201 - how much was tried belongs in the log
