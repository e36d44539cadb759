"""Makes calls again that got no answer: the one place where that is done for any store."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import tenacity

from karbor_like.bank import errors
from karbor_like.bank.objectstore import base
from karbor_like.clock import Clock

LOG = logging.getLogger(__name__)

#: The longest pause between two attempts, seconds.
MAX_WAIT: Final = 30.0

_T = TypeVar("_T")


class RetryingStore(base.ObjectStore):
    """Calls *inner* again, with growing pauses, for as long as it raises ConnectionFailed and *policy* allows.

    No other error is tried again. Every operation can be repeated: objects are whole and the same bytes are put. Where a
    ``delete`` is repeated and the object is not there any more, the lost answer was a success, and so is the call.
    """

    def __init__(self, inner: base.ObjectStore, policy: base.RetryPolicy, clock: Clock) -> None:
        self._inner = inner
        self.requests_at_once = inner.requests_at_once
        self._policy = policy
        self._clock = clock
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors.ConnectionFailed),
            stop=self._late,
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
        return self._retrying(_run, self._clock.monotonic() + self._policy.total, function)

    def _late(self, state: tenacity.RetryCallState) -> bool:
        deadline: float = state.args[0]
        late = self._clock.monotonic() + state.upcoming_sleep > deadline
        return late or state.attempt_number >= self._policy.attempts


def _run(deadline: float, function: Callable[[], _T]) -> _T:
    return function()


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.warning("%s; attempt %d failed, the next follows in %.1f s", error, state.attempt_number, state.upcoming_sleep)
