"""A job that is due is taken by one, on each database."""

import threading

from oslo_db import exception as db_exception

from karbor_like.db import jobs


def take(database, owner: str, seconds: float = 3600) -> bool:
    return database.write(lambda session: jobs.take(session, "tidy", owner, seconds))


def test_a_job_is_due_at_once_and_then_after_its_interval(database):
    assert take(database, "a", seconds=0)
    assert take(database, "b", seconds=3600)
    assert not take(database, "a")


def test_of_many_who_look_at_once_one_takes_it(database):
    taken, barrier = [], threading.Barrier(4)

    def look(owner: str) -> None:
        barrier.wait()
        try:
            if take(database, owner):
                taken.append(owner)
        except db_exception.DBDuplicateEntry:
            # Somebody else was the first ever: as good as "not due".
            return

    threads = [threading.Thread(target=look, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
