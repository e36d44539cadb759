from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor_like import exception
from karbor_like.db import quotas
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.plans import PLANS

DEFAULTS = {"plans": 50, "checkpoints": -1}


def _plan(session, project="p", name="n"):
    return PLANS.insert(session, project_id=project, name=name, provider_id="x", resources=[], parameters={})


def test_parallel_creations_never_exceed_the_limit_together(database):
    database.write(lambda session: quotas.set_limits(session, "p", {"plans": 7}))

    def create(number):
        def work(session):
            quotas.enforce(session, "p", "plans", DEFAULTS)
            _plan(session, name=str(number))

        try:
            database.write(work)
        except exception.OverQuota:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        created = list(pool.map(create, range(50)))
    assert created.count(True) == 7
    with database.reader() as session:
        assert PLANS.count(session, project_id="p") == 7
        assert quotas.usage(session, "p") == {**dict.fromkeys(quotas.COUNTED, 0), "plans": 7}


def test_a_project_without_limits_has_those_of_the_default_class(database):
    def work(session):
        quotas.set_class_limits(session, "default", {"plans": 3})
        quotas.set_limits(session, "own", {"plans": 9})

    database.write(work)
    with database.reader() as session:
        assert quotas.limits(session, "other", DEFAULTS) == {"plans": 3, "checkpoints": -1}
        assert quotas.limits(session, "own", DEFAULTS) == {"plans": 9, "checkpoints": -1}
    database.write(lambda session: quotas.delete_limits(session, "own"))
    with database.reader() as session:
        assert quotas.limits(session, "own", DEFAULTS)["plans"] == 3


@pytest.mark.parametrize("change", [quotas.set_limits, quotas.set_class_limits])
def test_limits_that_are_set_for_the_first_time_together_are_set(database, change):
    def set_all(limit):
        for number in range(4):
            database.write(lambda session, number=number: change(session, f"new {number}", {"plans": limit}))

    with ThreadPoolExecutor(8) as pool:
        # Raises what a thread has raised.
        list(pool.map(set_all, range(8)))


def test_zero_is_a_limit_and_minus_one_is_not(database):
    database.write(lambda session: quotas.set_limits(session, "none", {"plans": 0}))
    database.write(lambda session: quotas.set_limits(session, "free", {"plans": -1}))
    with pytest.raises(exception.OverQuota, match="project none: quota for plans exceeded: limit 0"):
        database.write(lambda session: quotas.enforce(session, "none", "plans", DEFAULTS))
    database.write(lambda session: quotas.enforce(session, "free", "plans", {"plans": 0, "checkpoints": 0}))


def test_a_request_for_several_objects_needs_room_for_all(database):
    database.write(lambda session: quotas.set_limits(session, "p", {"plans": 3}))
    database.write(lambda session: _plan(session) and None)
    database.write(lambda session: quotas.enforce(session, "p", "plans", DEFAULTS, wanted=2))
    with pytest.raises(exception.OverQuota, match="limit 3, in use 1, requested 3"):
        database.write(lambda session: quotas.enforce(session, "p", "plans", DEFAULTS, wanted=3))


@pytest.mark.parametrize(
    ("status", "logical_bytes", "counted"),
    [
        ("protecting", None, True),
        ("available", 0, True),
        ("error", None, False),
        # Its owner has reset the status of a complete checkpoint.
        ("error", 0, True),
        ("error", 7, True),
        ("error-deleting", None, True),
    ],
)
def test_a_checkpoint_that_failed_does_not_count(database, status, logical_bytes, counted):
    def insert(session):
        CHECKPOINTS.insert(
            session,
            project_id="p",
            provider_id="x",
            plan_id="y",
            status=status,
            plan={},
            resource_graph="[{}, []]",
            extra_info={},
            logical_bytes=logical_bytes,
        )

    database.write(insert)
    with database.reader() as session:
        assert quotas.usage(session, "p")["checkpoints"] == counted
