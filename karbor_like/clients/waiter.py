"""Polls and retries with back-off, timeout, early failure and cancellation."""

import logging
import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import tenacity
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Check = Callable[[], None]

#: Growth factor of the pauses. A pause is about a twentieth of the time waited so far, so the delay in noticing the end of a
#: job is proportional to the job's duration.
_GROWTH: Final = 1.05

#: Polls after which the pauses certainly have their maximum length: the interval has grown by a factor of 10^21.
_MOST_GROWTH: Final = 1000

#: The first pauses, in relation to the usual ones: many objects are ready within a tenth of a second.
_FIRST_PAUSES: Final = (0.2, 0.4, 0.8)

#: Longest pause that a service can ask for, seconds. The caller of an API call may wait as well.
_LONGEST_ASKED: Final = 60.0

#: Longest delay before a cancellation is noticed, seconds.
_CHECK_INTERVAL: Final = 1.0


class Waiter:
    """Polls and retries.

    :param interval: pause between two polls in the beginning, seconds. The first three pauses are shorter
    :param max_interval: longest pause between two polls, seconds
    :param timeout: default timeout of :meth:`until` and :meth:`transfer`, seconds
    :param retries: number of retries of :meth:`call`
    :param transfer_retries: number of retries of :meth:`transfer`
    """

    def __init__(
        self,
        clock: Clock,
        *,
        interval: float = 0.25,
        max_interval: float = 15.0,
        timeout: float = 1800.0,
        retries: int = 4,
        transfer_retries: int = 10,
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._max_interval = max_interval
        self._retries = retries
        self._transfer_retries = transfer_retries
        self.timeout = timeout

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, clock: Clock) -> "Waiter":
        """Create a waiter from the options of group ``[waiter]``."""
        group = conf.waiter
        return cls(
            clock,
            interval=group.interval,
            max_interval=group.max_interval,
            timeout=group.timeout,
            retries=group.retries,
            transfer_retries=group.transfer_retries,
        )

    def until(
        self,
        what: str,
        get: Callable[[], T],
        *,
        done: Callable[[T], bool],
        failed: Callable[[T], str | None] = lambda value: None,
        timeout: float | None = None,
        check: Check | None = None,
    ) -> T:
        """Poll *get* until *done* accepts its result, and return that. The first poll is immediate.

        :param what: object and condition, such as "volume X to become available", for messages
        :param get: asks the cloud; :class:`~karbor_like.exception.Unavailable` is retried, other errors end the wait
        :param failed: returns the reason why the condition will never hold, or None
        :param timeout: seconds; None: the configured timeout
        :param check: raises to stop waiting; called before each poll and at least once a second

        Raises ResourceFailed with the reason of *failed*, Timeout, and the exceptions of *get* and *check*.
        """
        seconds = self.timeout if timeout is None else timeout
        deadline = self._clock.monotonic() + seconds

        def poll() -> T:
            if check:
                check()
            value = get()
            reason = failed(value)
            if reason is not None:
                raise exception.ResourceFailed(f"waiting for {what}: {reason}")
            return value

        def give_up(state: tenacity.RetryCallState) -> T:
            raise exception.Timeout(f"timed out after {seconds:g} s waiting for {what}{_last_seen(state)}")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exception.Unavailable)
            | tenacity.retry_if_result(lambda value: not done(value)),
            wait=self._until_next_poll,
            stop=lambda state: self._clock.monotonic() >= deadline,
            sleep=lambda pause: self._pause(min(pause, deadline - self._clock.monotonic()), check),
            retry_error_callback=give_up,
        )
        return retrying(poll)

    def _until_next_poll(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds of a pause. After a failure, the cloud is not polled sooner than usual."""
        polls = state.attempt_number - 1
        answered = state.outcome is not None and not state.outcome.failed
        if answered and polls < len(_FIRST_PAUSES):
            growth = _FIRST_PAUSES[polls]
        else:
            growth = _GROWTH ** max(0, min(polls - len(_FIRST_PAUSES), _MOST_GROWTH))
        return max(min(self._interval * growth, self._max_interval), _asked(state))

    def until_gone(
        self,
        what: str,
        get: Callable[[], T],
        *,
        failed: Callable[[T], str | None] = lambda value: None,
        timeout: float | None = None,
        check: Check | None = None,
    ) -> None:
        """Poll *get* until it raises NotFound. *what* is an object, such as "volume X". Otherwise like :meth:`until`."""

        def get_or_none() -> T | None:
            try:
                return get()
            except exception.NotFound:
                return None

        self.until(
            f"{what} to be deleted",
            get_or_none,
            done=lambda value: value is None,
            failed=lambda value: None if value is None else failed(value),
            timeout=timeout,
            check=check,
        )

    def call(self, function: Callable[[], T], *, check: Check | None = None) -> T:
        """Return *function*'s result. Retry a limited number of times if it raises Unavailable.

        A service that says when it wants to be asked again is not asked sooner.

        *function* must be idempotent: before it creates an object, it checks whether the object exists.
        """
        return self._retry(function, self._retries, math.inf, check)

    def transfer(self, function: Callable[[], T], *, timeout: float | None = None, check: Check | None = None) -> T:
        """Like :meth:`call`, for a *function* that moves bytes. It outlasts the restart of a service.

        :param timeout: seconds after the first attempt within which a further one may begin; None: the configured timeout
        """
        return self._retry(function, self._transfer_retries, self.timeout if timeout is None else timeout, check)

    def _retry(self, function: Callable[[], T], retries: int, timeout: float, check: Check | None) -> T:
        deadline = self._clock.monotonic() + timeout
        usual = tenacity.wait_exponential(multiplier=self._interval, max=self._max_interval)

        def attempt() -> T:
            if check:
                check()
            return function()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=lambda state: max(usual(state), _asked(state)),
            stop=lambda state: (
                state.attempt_number > retries or self._clock.monotonic() + state.upcoming_sleep > deadline
            ),
            sleep=lambda pause: self._pause(pause, check),
            before_sleep=_log,
            reraise=True,
        )
        return retrying(attempt)

    def _pause(self, seconds: float, check: Check | None) -> None:
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            if check:
                check()
            self._clock.sleep(min(left, _CHECK_INTERVAL) if check else left)


def _may_pass(error: BaseException) -> bool:
    """Whether a retry may help. The requests to a bank, and waits, have limits of their own, which are reached."""
    own_limits = (exception.BankUnavailable, exception.Timeout)
    return isinstance(error, exception.Unavailable) and not isinstance(error, own_limits)


def _asked(state: tenacity.RetryCallState) -> float:
    """Return the seconds that the service which failed asked to wait, within limits; 0: it did not."""
    error = state.outcome.exception() if state.outcome else None
    return min(error.retry_after, _LONGEST_ASKED) if isinstance(error, exception.Unavailable) else 0.0


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.warning("%s; attempt %d failed, retrying in %.1f s", error, state.attempt_number, state.upcoming_sleep)


def _last_seen(state: tenacity.RetryCallState) -> str:
    outcome = state.outcome
    if outcome is None:
        return ""
    if outcome.failed:
        return f" (last error: {outcome.exception()})"
    status: Any = getattr(outcome.result(), "status", None)
    return f" (last status: {status!r})" if isinstance(status, str) else ""
