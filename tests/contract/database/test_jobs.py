"""Each time a job is due, exactly one process takes it, on every database."""

import threading

from oslo_db import exception as db_exception

from karbor_like.db import jobs


def take(database, owner: str, seconds: float = 3600) -> bool:
    return database.write(lambda session: jobs.take(session, "tidy", owner, seconds))


def test_a_new_job_is_due_immediately_and_then_after_its_interval(database):
    assert take(database, "a", seconds=0)
    assert take(database, "b", seconds=3600)
    assert not take(database, "a")


def test_only_one_of_several_concurrent_processes_takes_a_job(database):
    taken, barrier = [], threading.Barrier(4)

    def try_to_take(owner: str) -> None:
        barrier.wait()
        try:
            if take(database, owner):
                taken.append(owner)
        except db_exception.DBDuplicateEntry:
            # Another thread inserted the job first: the same as "not due".
            return

    threads = [threading.Thread(target=try_to_take, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
