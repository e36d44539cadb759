import threading

import pytest

from karbor_like import exception
from karbor_like.protection.slots import TransferSlots


def nothing() -> None:
    """No cancellation."""


class Worker(threading.Thread):
    """Acquires a slot, logs that, and holds it until the test sets ``end``."""

    def __init__(self, slots: TransferSlots, project_id: str, log: list[str]) -> None:
        super().__init__(daemon=True)
        self._slots, self._project_id, self._log = slots, project_id, log
        self.inside, self.end = threading.Event(), threading.Event()

    def run(self) -> None:
        with self._slots.acquire(self._project_id, nothing):
            self._log.append(self._project_id)
            self.inside.set()
            self.end.wait(30)


@pytest.fixture
def log() -> list[str]:
    return []


def begin(slots: TransferSlots, projects: str, log: list[str]) -> list[Worker]:
    """One worker after the other, each waiting (or inside) before the next one comes."""
    workers = []
    for project_id in projects:
        worker = Worker(slots, project_id, log)
        before = len(slots._waiting) + len(log)
        worker.start()
        while len(slots._waiting) + len(log) == before:
            pass
        workers.append(worker)
    return workers


def test_a_free_place_goes_to_the_project_that_has_the_fewest(log):
    slots = TransferSlots(2)
    workers = begin(slots, "aaaab", log)
    for worker in workers[:2]:
        assert worker.inside.wait(10)
    assert log == ["a", "a"]
    workers[0].end.set()
    assert workers[4].inside.wait(10), "b waits behind all of a"
    workers[1].end.set()
    assert workers[2].inside.wait(10)
    for worker in workers:
        worker.end.set()
        worker.join()
    assert log == ["a", "a", "b", "a", "a"]


def test_projects_take_turns_also_with_a_single_place(log):
    slots = TransferSlots(1)
    workers = begin(slots, "aaab", log)
    for number in (0, 3, 1, 2):
        assert workers[number].inside.wait(10)
        workers[number].end.set()
    for worker in workers:
        worker.join()
    assert log == ["a", "b", "a", "a"]
    assert not slots._turns, "nothing is kept of projects that have no resources here"


def test_no_more_than_there_are_places(log):
    slots = TransferSlots(3)
    workers = begin(slots, "abcdef", log)
    for worker in workers[:3]:
        assert worker.inside.wait(10)
    assert sorted(log) == ["a", "b", "c"]
    for worker in workers:
        worker.end.set()
    for worker in workers:
        worker.join()
    assert sorted(log) == list("abcdef")


def test_who_gives_up_leaves_the_queue(log):
    slots = TransferSlots(1)
    (holder,) = begin(slots, "a", log)

    def cancelled() -> None:
        raise exception.Cancelled("cancelled")

    with pytest.raises(exception.Cancelled), slots.acquire("b", cancelled):
        pytest.fail("there is no place")
    assert not slots._waiting
    holder.end.set()
    holder.join()
    with slots.acquire("b", cancelled):
        pass
