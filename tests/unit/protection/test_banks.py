"""The report on the banks of a process never waits for a bank."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.clock import ManualClock
from karbor_like.protection import banks


class Store:
    """A store whose next listing fails, or waits."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def list(self, prefix: str, limit: int) -> list[Any]:
        assert self.gate.wait(60)
        if self.error:
            raise self.error
        return []


class _Provider:
    def __init__(self, store: Store) -> None:
        self.id, self.name = "1", "tapes"
        self.bank = SimpleNamespace(store=store)


class Site:
    """One provider, and the report on it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.provider: Any = _Provider(self.store)
        self._banks = banks.Banks(self.clock)

    def report(self) -> tuple[str, str | None]:
        (found,) = self._banks.report([self.provider])
        return found["bank"], found["reason"]

    def asked(self) -> tuple[str, str | None]:
        """The report after the request of a report was answered."""
        self.report()
        for thread in threading.enumerate():
            if thread.name == "bank of tapes":
                thread.join(60)
        return self.report()


@pytest.fixture
def site():
    found = Site()
    yield found
    found.store.gate.set()


def test_what_a_bank_answers_is_reported_and_asked_again_later(site: Site):
    assert site.asked() == ("reachable", None)
    site.store.error = exception.BankUnavailable("connection refused")
    assert site.asked() == ("reachable", None), "it is not asked for every report"
    site.clock.advance(60)
    assert site.asked() == ("unreachable", "connection refused")
    site.store.error = ZeroDivisionError("of a driver")
    site.clock.advance(60)
    assert site.asked() == ("unreachable", "unexpected ZeroDivisionError")
    site.store.error = None
    site.clock.advance(60)
    assert site.asked() == ("reachable", None)


def test_a_silent_bank_is_unreachable(site: Site):
    site.store.gate.clear()
    assert site.report() == ("unknown", None)
    site.clock.advance(29)
    assert site.report() == ("unknown", None)
    site.clock.advance(10)
    assert site.report() == ("unreachable", "it has not answered for 39 seconds")
