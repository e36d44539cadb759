"""Retries of requests that a store did not answer: the only place that retries, for every store."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import tenacity

from karbor_like.bank import errors
from karbor_like.bank.objectstore import base
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

#: Maximum seconds between two attempts.
MAX_WAIT: Final = 30.0

_T = TypeVar("_T")


class RetryingStore(base.ObjectStore):
    """A store that retries a request of *inner*, with exponential backoff, while it raises ConnectionFailed.

    Other errors are not retried. Every operation is idempotent, because objects are whole and the same bytes are put. If a
    retried ``delete`` does not find its object, the lost response was a success, and so is the call.

    The ConnectionFailed that it raises says when *inner* had last ``answered``.

    :param policy: limits the retries
    """

    def __init__(self, inner: base.ObjectStore, policy: base.RetryPolicy, clock: Clock) -> None:
        self._inner = inner
        self.requests_at_once = inner.requests_at_once
        self.frees_room_at_once = inner.frees_room_at_once
        self._policy = policy
        self._clock = clock
        #: When a request was last answered, monotonic seconds.
        self._answered: float | None = None
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors.ConnectionFailed),
            stop=self._must_stop,
            wait=tenacity.wait_exponential_jitter(initial=policy.backoff, max=MAX_WAIT, jitter=policy.backoff),
            sleep=clock.sleep,
            before_sleep=_log,
            reraise=True,
        )

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        self._call(lambda: self._inner.put(key, data))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._call(lambda: self._inner.get(key, start, length))

    def get_into(self, key: str, start: int, target: memoryview) -> int:
        return self._call(lambda: self._inner.get_into(key, start, target))

    def stat(self, key: str) -> base.ObjectInfo:
        return self._call(lambda: self._inner.stat(key))

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        return self._call(lambda: self._inner.list(prefix, marker, limit))

    def delete(self, key: str) -> None:
        attempts = 0

        def attempt() -> None:
            nonlocal attempts
            attempts += 1
            try:
                self._inner.delete(key)
            except errors.ObjectNotFound:
                if attempts == 1:
                    raise

        self._call(attempt)

    def close(self) -> None:
        self._inner.close()

    def _call(self, function: Callable[[], _T]) -> _T:
        # Later answers, to other threads, say nothing about the path of this request.
        answered = self._answered
        try:
            return self._retrying(self._run, self._clock.monotonic() + self._policy.total, function)
        except errors.ConnectionFailed as error:
            error.answered = answered
            raise

    def _run(self, deadline: float, function: Callable[[], _T]) -> _T:
        try:
            result = function()
        except errors.BankError as error:
            if not isinstance(error, errors.ConnectionFailed):
                self._answered = self._clock.monotonic()
            raise
        self._answered = self._clock.monotonic()
        return result

    def _must_stop(self, state: tenacity.RetryCallState) -> bool:
        deadline: float = state.args[0]
        is_late = self._clock.monotonic() + state.upcoming_sleep > deadline
        return is_late or state.attempt_number >= self._policy.attempts


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.warning("%s; attempt %d failed, retrying in %.1f s", error, state.attempt_number, state.upcoming_sleep)
