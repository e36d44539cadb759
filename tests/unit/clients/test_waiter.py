"""The waiter, with a clock that only sleeping moves."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock


class Cloud:
    """Answers with the given values in order, and with the last one from then on."""

    def __init__(self, clock: ManualClock, answers: Iterable[Any]) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.polls: list[float] = []

    def get(self) -> SimpleNamespace:
        self.polls.append(self.clock.monotonic())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status=answer)


def until(clock: ManualClock, cloud: Cloud, **kwargs: Any) -> SimpleNamespace:
    waiter = Waiter(clock, interval=1, max_interval=20, timeout=100)
    return waiter.until(
        "volume x to become available",
        cloud.get,
        done=lambda seen: seen.status == "available",
        failed=lambda seen: "no valid host" if seen.status == "error" else None,
        **kwargs,
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_first_poll_is_immediate(clock: ManualClock) -> None:
    assert until(clock, Cloud(clock, ["available"])).status == "available"
    assert clock.monotonic() == 0


def test_polls_back_off(clock: ManualClock) -> None:
    cloud = Cloud(clock, ["creating"] * 30 + ["available"])
    until(clock, cloud, timeout=10_000)
    pauses = [b - a for a, b in zip(cloud.polls, cloud.polls[1:], strict=False)]
    assert pauses[:4] == pytest.approx([0.2, 0.4, 0.8, 1])
    assert pauses == sorted(pauses)
    assert all(pause <= 1 + 0.051 * start for start, pause in zip(cloud.polls, pauses, strict=False))


def test_pauses_are_limited(clock: ManualClock) -> None:
    cloud = Cloud(clock, ["creating"] * 90 + ["available"])
    until(clock, cloud, timeout=10_000)
    assert max(b - a for a, b in zip(cloud.polls, cloud.polls[1:], strict=False)) == pytest.approx(20)


def test_error_state_ends_the_wait_with_its_reason(clock: ManualClock) -> None:
    with pytest.raises(exception.ResourceFailed, match="volume x to become available: no valid host"):
        until(clock, Cloud(clock, ["creating", "error"]))
    assert clock.monotonic() == pytest.approx(0.2)


@given(st.floats(min_value=0.5, max_value=5000))
def test_timeout_names_the_last_status(timeout: float) -> None:
    clock = ManualClock()
    with pytest.raises(
        exception.Timeout, match=r"timed out after .* s waiting for volume x .* \(last status: 'creating'\)"
    ):
        until(clock, Cloud(clock, ["creating"]), timeout=timeout)
    assert clock.monotonic() == pytest.approx(timeout)


def test_unavailable_cloud_is_polled_again(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503"), exception.Unavailable("cut"), "available"])
    assert until(clock, cloud).status == "available"


def test_a_cloud_that_fails_is_not_polled_sooner(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503"), exception.Unavailable("503"), "available"])
    until(clock, cloud)
    assert cloud.polls == pytest.approx([0, 1, 2])


def test_cloud_that_never_answers_causes_a_timeout(clock: ManualClock) -> None:
    with pytest.raises(exception.Timeout, match="last error: cinder is on fire"):
        until(clock, Cloud(clock, [exception.Unavailable("cinder is on fire")]))
    assert clock.monotonic() == pytest.approx(100)


def test_other_errors_end_the_wait(clock: ManualClock) -> None:
    with pytest.raises(exception.ResourceNotFound):
        until(clock, Cloud(clock, ["creating", exception.ResourceNotFound("volume x")]))


def test_cancel_is_noticed_in_a_long_pause(clock: ManualClock) -> None:
    def check() -> None:
        if clock.monotonic() > 60:
            raise exception.Cancelled("cancelled by the test")

    with pytest.raises(exception.Cancelled):
        until(clock, Cloud(clock, ["creating"]), timeout=10_000, check=check)
    assert clock.monotonic() <= 62


def test_deletion_ends_with_not_found(clock: ManualClock) -> None:
    cloud = Cloud(clock, ["deleting", exception.ResourceNotFound("volume x")])
    Waiter(clock).until_gone("volume x", cloud.get)
    assert len(cloud.polls) == 2


def test_failed_deletion_ends_the_wait(clock: ManualClock) -> None:
    with pytest.raises(exception.ResourceFailed, match="volume x to be deleted: busy"):
        Waiter(clock).until_gone("volume x", Cloud(clock, ["deleting", "error_deleting"]).get, failed=busy)


def busy(seen: SimpleNamespace) -> str | None:
    return "busy" if seen.status == "error_deleting" else None


def test_call_is_retried_while_the_cloud_is_unavailable(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503")] * 3 + ["ok"])
    assert Waiter(clock, retries=3).call(cloud.get).status == "ok"


def test_retries_of_a_call_are_limited(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503")])
    with pytest.raises(exception.Unavailable, match="503"):
        Waiter(clock, retries=3).call(cloud.get)
    assert len(cloud.polls) == 4


def test_call_is_not_retried_after_an_answer(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.OverQuota("no")])
    with pytest.raises(exception.OverQuota):
        Waiter(clock).call(cloud.get)
    assert len(cloud.polls) == 1


def _refusal(seconds: float) -> exception.Unavailable:
    error = exception.Unavailable("429")
    error.retry_after = seconds
    return error


def test_a_service_is_not_asked_sooner_than_it_wants(clock: ManualClock) -> None:
    cloud = Cloud(clock, [_refusal(30), _refusal(0), "available"])
    assert Waiter(clock).call(cloud.get).status == "available"
    assert [cloud.polls[1] - cloud.polls[0] >= 30, cloud.polls[2] - cloud.polls[1] < 5] == [True, True]
    polled = Cloud(clock, ["creating", _refusal(30), "available"])
    until(clock, polled)
    assert polled.polls[2] - polled.polls[1] >= 30


def test_the_wait_that_a_service_asks_for_is_limited(clock: ManualClock) -> None:
    cloud = Cloud(clock, [_refusal(86_400), "ok"])
    assert Waiter(clock).call(cloud.get).status == "ok"
    assert clock.monotonic() == 60


def test_transfer_outlasts_a_restart(clock: ManualClock) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503")] * 10 + ["ok"])
    assert Waiter(clock).transfer(cloud.get).status == "ok"
    assert clock.monotonic() > 60


@pytest.mark.parametrize(
    ("limits", "attempts"), [({"transfer_retries": 3}, 4), ({"transfer_retries": 100, "timeout": 15, "interval": 2}, 4)]
)
def test_transfer_is_limited_in_number_and_time(clock: ManualClock, limits: dict[str, Any], attempts: int) -> None:
    cloud = Cloud(clock, [exception.Unavailable("503")])
    with pytest.raises(exception.Unavailable, match="503"):
        Waiter(clock, **limits).transfer(cloud.get)
    assert len(cloud.polls) == attempts


@pytest.mark.parametrize("error", [exception.BankUnavailable("full"), exception.Timeout("too long")])
def test_limits_of_others_end_a_transfer(clock: ManualClock, error: Exception) -> None:
    cloud = Cloud(clock, [error])
    with pytest.raises(type(error)):
        Waiter(clock).transfer(cloud.get)
    assert len(cloud.polls) == 1


def test_cancel_is_noticed_between_attempts(clock: ManualClock) -> None:
    def check() -> None:
        if clock.monotonic() > 20:
            raise exception.Cancelled("cancelled by the test")

    with pytest.raises(exception.Cancelled):
        Waiter(clock).transfer(Cloud(clock, [exception.Unavailable("503")]).get, check=check)
    assert clock.monotonic() <= 22
