"""Background jobs: completed, failed, held, stopped."""

import threading

import pytest

from karbor_like.clock import ManualClock, SystemClock
from karbor_like.sandbox import errors, faults, jobs, state


class Outcome:
    """Records how a job ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.says = ""

    def work(self) -> None:
        self.end("done")

    def end(self, says: str) -> None:
        self.says = says
        self.ended.set()

    def wait(self) -> str:
        assert self.ended.wait(10)
        return self.says


def run(work: jobs.Jobs, *struck: faults.Fault) -> Outcome:
    outcome = Outcome()
    work.start(outcome.work, outcome.end, faults.Strikes(struck))
    return outcome


@pytest.fixture
def work() -> jobs.Jobs:
    return jobs.Jobs(ManualClock(), state.Settings(job_delay=100.0))


def test_a_job_runs_after_its_delay() -> None:
    clock = ManualClock()
    assert run(jobs.Jobs(clock, state.Settings(job_delay=100.0))).wait() == "done"
    assert clock.monotonic() == 100.0


def test_an_error_is_the_reason_of_the_failure(work: jobs.Jobs) -> None:
    assert run(work, faults.Fault(kind=faults.ERROR, reason="as requested")).wait() == "as requested"


@pytest.mark.parametrize("error", [errors.JobFailed("no space"), RuntimeError("no space")])
def test_an_exception_fails_the_job(work: jobs.Jobs, error: Exception) -> None:
    outcome = Outcome()

    def raises() -> None:
        raise error

    work.start(raises, outcome.end, faults.Strikes())
    assert outcome.wait() == "no space"


def test_a_held_job_continues_when_the_fault_is_cleared(work: jobs.Jobs) -> None:
    fault = faults.Fault(kind=faults.HOLD)
    outcome = run(work, fault)
    assert not outcome.ended.wait(0.1)
    fault.cleared.set()
    assert outcome.wait() == "done"


def test_stopping_ends_held_and_waiting_jobs() -> None:
    work = jobs.Jobs(SystemClock(), state.Settings(job_delay=0.0))
    waiting = jobs.Jobs(SystemClock(), state.Settings(job_delay=1000.0))
    outcomes = [run(work, faults.Fault(kind=faults.HOLD)), run(waiting)]
    work.stop()
    waiting.stop()

    assert not any(outcome.ended.is_set() for outcome in outcomes)
    with pytest.raises(errors.Stopping):
        run(work)
