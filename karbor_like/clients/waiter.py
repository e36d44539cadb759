"""Waiting for a cloud: polls that back off, end in time, end early when the cloud reports a failure, and can be cancelled."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import tenacity
from oslo_config import cfg

from karbor_like import exception
from karbor_like.clock import Clock

T = TypeVar("T")
Check = Callable[[], None]

#: Each pause is this much longer than the one before: then it is about a twentieth of the time waited so far, which bounds
#: how late the end of a job is noticed by the job's own length.
_GROWTH: Final = 1.05

#: The longest anybody waits for a cancellation to be noticed, seconds.
_CHECK_INTERVAL: Final = 1.0


class Waiter:
    """Polls and retries.

    :param interval: seconds between the first polls
    :param max_interval: most seconds between two polls
    :param timeout: seconds after which :meth:`until` gives up, unless told otherwise
    :param retries: how often :meth:`call` tries again
    """

    def __init__(
        self,
        clock: Clock,
        *,
        interval: float = 0.25,
        max_interval: float = 15.0,
        timeout: float = 1800.0,
        retries: int = 4,
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._max_interval = max_interval
        self._retries = retries
        self.timeout = timeout

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, clock: Clock) -> "Waiter":
        """The waiter that group ``[waiter]`` describes."""
        group = conf.waiter
        return cls(
            clock,
            interval=group.interval,
            max_interval=group.max_interval,
            timeout=group.timeout,
            retries=group.retries,
        )

    def until(
        self,
        what: str,
        get: Callable[[], T],
        *,
        done: Callable[[T], bool],
        failed: Callable[[T], str | None],
        timeout: float | None = None,
        check: Check | None = None,
    ) -> T:
        """Poll *get* until *done*, and return what it got then. The first poll is made at once.

        :param what: what is waited for, as it reads after "waiting for", such as "volume X to become available"
        :param get: asks the cloud; its :class:`~karbor_like.exception.Unavailable` is waited out, other errors end the wait
        :param failed: the reason why *done* will never come, or None while it may
        :param timeout: seconds; None means the configured ones
        :param check: raises to stop waiting; called before each poll and at least once a second

        Raises ResourceFailed with *failed*'s reason, Timeout, and what *get* and *check* raise.
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
            raise exception.Timeout(f"waited {seconds:g} s for {what} in vain{_last_seen(state)}")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exception.Unavailable)
            | tenacity.retry_if_result(lambda value: not done(value)),
            wait=tenacity.wait_exponential(multiplier=self._interval, exp_base=_GROWTH, max=self._max_interval),
            stop=lambda state: self._clock.monotonic() >= deadline,
            sleep=lambda pause: self._pause(min(pause, deadline - self._clock.monotonic()), check),
            retry_error_callback=give_up,
        )
        return retrying(poll)

    def until_gone(
        self,
        what: str,
        get: Callable[[], T],
        *,
        failed: Callable[[T], str | None] = lambda value: None,
        timeout: float | None = None,
        check: Check | None = None,
    ) -> None:
        """Poll *get* until it raises NotFound. *what* reads like "volume X". The rest is as in :meth:`until`."""

        def get_or_none() -> T | None:
            try:
                return get()
            except exception.NotFound:
                return None

        self.until(
            f"{what} to be gone",
            get_or_none,
            done=lambda value: value is None,
            failed=lambda value: None if value is None else failed(value),
            timeout=timeout,
            check=check,
        )

    def call(self, function: Callable[[], T], *, check: Check | None = None) -> T:
        """*function*'s result; it is tried again where it raises Unavailable, a bounded number of times.

        *function* must be one that may be repeated: what creates something looks first whether it is there already.
        """

        def attempt() -> T:
            if check:
                check()
            return function()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exception.Unavailable),
            wait=tenacity.wait_exponential(multiplier=self._interval, max=self._max_interval),
            stop=tenacity.stop_after_attempt(self._retries + 1),
            sleep=lambda pause: self._pause(pause, check),
            reraise=True,
        )
        return retrying(attempt)

    def _pause(self, seconds: float, check: Check | None) -> None:
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            if check:
                check()
            self._clock.sleep(min(left, _CHECK_INTERVAL) if check else left)


def _last_seen(state: tenacity.RetryCallState) -> str:
    outcome = state.outcome
    if outcome is None:
        return ""
    if outcome.failed:
        return f" (at last: {outcome.exception()})"
    status: Any = getattr(outcome.result(), "status", None)
    return f" (it was last seen {status!r})" if isinstance(status, str) else ""
