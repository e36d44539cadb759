"""The background half of asynchronous calls: a thread each, with a delay before it and the failure switch in the way."""

import logging
import threading
from collections.abc import Callable

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, state

LOG = logging.getLogger(__name__)
POLL = 0.2
"""Seconds between two looks at whether the sandbox stops, while something is held."""


class Jobs:
    """Starts background work and waits for it at the end."""

    def __init__(self, clock: clocks.Clock, settings: state.Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def gib(self) -> int:
        """Bytes that a volume has per GiB of its size."""
        return self._settings.gib

    def check(self) -> None:
        """:raises Stopping: the sandbox is being stopped"""
        if self.stopping.is_set():
            raise errors.Stopping("the sandbox is being stopped")

    def hold(self, fault: faults.Fault) -> None:
        """Wait until a fault is cleared.

        :raises Stopping: the sandbox is being stopped
        """
        while not fault.cleared.wait(POLL):
            self.check()
        self.check()

    def start(self, work: Callable[[], None], failed: Callable[[str], None], strikes: faults.Strikes) -> None:
        """Run *work* in a thread; on failure call *failed* with the reason."""
        thread = threading.Thread(target=self._run, args=(work, failed, strikes), name="sandbox-job", daemon=True)
        with self._lock:
            self.check()
            self._threads.add(thread)
        thread.start()

    def _run(self, work: Callable[[], None], failed: Callable[[str], None], strikes: faults.Strikes) -> None:
        try:
            self._clock.wait(self.stopping, self._settings.job_delay)
            self.check()
            if held := strikes.find(faults.HOLD):
                self.hold(held)
            if fault := strikes.find(faults.ERROR):
                raise errors.JobFailed(fault.reason)
            work()
        except errors.Stopping:
            LOG.debug("a job is left for the next start")
        except errors.JobFailed as error:
            failed(error.message)
        except Exception as error:  # noqa: BLE001 the border of a thread: the resource must not hang in a passing state
            LOG.exception("a job failed in a way nobody asked for")
            failed(str(error))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def stop(self) -> None:
        """Tell all jobs to end and wait for them."""
        with self._lock:
            self.stopping.set()
            threads = list(self._threads)
        for thread in threads:
            thread.join()
