"""Background part of asynchronous calls: one thread each, with a delay and fault injection."""

import logging
import threading
from collections.abc import Callable

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, faults, state

LOG = logging.getLogger(__name__)
POLL = 0.2
"""Seconds between two checks whether the sandbox stops, while a job is held."""


class Jobs:
    """Starts background jobs, and waits for them when the sandbox stops."""

    def __init__(self, clock: clocks.Clock, settings: state.Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def gib(self) -> int:
        """Bytes of a volume per GiB of its nominal size."""
        return self._settings.gib

    @property
    def inspect_content(self) -> bool:
        """Whether Cinder treats volumes and images by what their content looks like."""
        return self._settings.inspect_content

    def check(self) -> None:
        """Check that the sandbox is not being stopped.

        :raises Stopping: it is
        """
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
            LOG.debug("a job was interrupted; the next start resolves it")
        except errors.JobFailed as error:
            failed(error.message)
        except Exception as error:  # noqa: BLE001 outermost function of the thread: the resource must leave its transitional state
            LOG.exception("a job failed unexpectedly")
            failed(str(error))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def stop(self) -> None:
        """Request all jobs to end, and wait for them."""
        with self._lock:
            self.stopping.set()
            threads = list(self._threads)
        for thread in threads:
            thread.join()
