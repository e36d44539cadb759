import pytest

from karbor_like import exception, service
from karbor_like.clock import ManualClock
from karbor_like.protection.rates import Rates


def nothing() -> None:
    """No cancellation."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def conf():
    return service.configure([], files=[])


def set_limits(conf, *, process: int, operation: int) -> None:
    conf.set_override("max_bytes_per_second", process, group="protection")
    conf.set_override("max_operation_bytes_per_second", operation, group="protection")


def test_without_limits_a_stream_is_not_wrapped(conf, clock):
    rates = Rates(conf, clock).operation()
    pieces = [b"a", b"b"]
    assert rates.paced(pieces, nothing) is pieces
    assert not any(rate.is_limited for rate in rates.bank)


def test_a_stream_passes_the_limits_of_its_operation_and_of_the_process(conf, clock):
    set_limits(conf, process=1000, operation=100)
    rates = Rates(conf, clock)
    assert b"".join(rates.operation().paced([bytes(100)] * 11, nothing)) == bytes(1100)
    assert clock.monotonic() == pytest.approx(10)
    # Another operation has a limit of its own, and that of the process has room.
    list(rates.operation().paced([bytes(100)], nothing))
    assert clock.monotonic() == pytest.approx(10)
    set_limits(conf, process=10, operation=0)
    list(rates.operation().paced([bytes(100)] * 2, nothing))
    assert clock.monotonic() == pytest.approx(20, abs=1)


def test_the_links_to_the_banks_and_to_the_cloud_are_counted_separately(conf, clock):
    set_limits(conf, process=100, operation=100)
    rates = Rates(conf, clock).operation()
    list(rates.paced([bytes(100)], nothing))
    for rate in rates.bank:
        rate.take(100)
    assert clock.monotonic() == 0


def test_a_stream_that_waits_can_be_stopped(conf, clock):
    set_limits(conf, process=1, operation=0)

    def cancelled() -> None:
        raise exception.Cancelled("cancelled")

    stream = iter(Rates(conf, clock).operation().paced([bytes(1), bytes(1)], cancelled))
    assert next(stream) == bytes(1)
    with pytest.raises(exception.Cancelled):
        next(stream)
