"""Runs from their beginning to their end: what is asked of the API, how often, and what is made of its answers."""

import json

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.db import scheduled_runs
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.operationengine.operations.protect import Protect
from tests.functional.operationengine.site import FOLLOW, LEASE, PLAN, PROVIDER, RETRY

RETENTION = {"operation_type": "retention_protect"}


def _rules(**rules):
    return {**RETENTION, "operation_definition": {"provider_id": PROVIDER, "plan_id": PLAN, **rules}}


def _ended(run, state, *words):
    assert (run.state, run.owner, run.lease_until, run.next_look_at) == (state, None, None, None), run.reason
    for word in words:
        assert word in run.reason


def _logged(site, state, *words):
    (entry,) = site.log()
    assert entry.status == "error"
    assert entry.scheduled_operation_id == site.operation().id
    for word in (f"{state}: ", *words):
        assert word in entry.error_info


# Begun and followed


def test_a_run_succeeds_when_its_checkpoint_is_available(site, rest_api):
    operation = site.schedule()
    run = site.due()
    run = site.step()
    assert (run.state, run.attempt, list(rest_api.made)) == ("started", 0, [run.checkpoint_id])
    _ended(site.later(FOLLOW), "succeeded")
    assert rest_api.posts == [f"{operation}@2031-03-01T01:00:00+00:00#0"]
    assert json.loads(rest_api.made[run.checkpoint_id]["extra_info"]) == {
        "created_by": "operation-engine",
        "trigger_id": site.operation().trigger_id,
        "scheduled_operation_id": operation,
        "due_at": "2031-03-01T01:00:00+00:00",
        "attempt": 0,
    }
    assert site.log() == []


def test_a_checkpoint_is_followed_however_long_it_takes(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = "protecting"
    for _ in range(5):
        assert site.later(3600).state == "started"
    rest_api.outcome = "available"
    _ended(site.later(FOLLOW), "succeeded")
    assert len(rest_api.posts) == 1


def test_the_api_may_be_away_while_a_checkpoint_is_followed(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.fault("GET", "checkpoints/", 503, times=5)
    for _ in range(5):
        assert site.later(3600).state == "started"
    _ended(site.later(FOLLOW), "succeeded")
    assert len(rest_api.posts) == 1


@pytest.mark.parametrize("status", [503, 401])
def test_keystone_may_be_away_while_a_checkpoint_is_followed(site, rest_api, cloud, status):
    """401: it is the service's own account that does not work."""
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    runner = site.make_runner()
    cloud.fault(service="identity", method="POST", path="/auth/tokens", kind="status", status=status, times=100)
    try:
        for _ in range(3):
            run = site.later(3600, runner)
            assert (run.state, run.checkpoint_id) == ("started", list(rest_api.made)[0])
    finally:
        cloud.clear_faults()
    _ended(site.later(FOLLOW, runner), "succeeded", "retention: ")
    assert len(rest_api.posts) == 1


def test_the_database_may_blink_while_a_checkpoint_is_followed(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    broken = []

    def fail(connection, cursor, statement, parameters, context, many):
        if "FROM trusts" in statement and len(broken) < 3:
            broken.append(statement)
            raise db_exception.DBConnectionError

    sa.event.listen(site.database.engine, "before_cursor_execute", fail)
    for _ in range(3):
        assert site.later(3600).state == "started"
    assert len(broken) == 3
    _ended(site.later(FOLLOW), "succeeded")


def test_the_token_is_renewed_in_the_middle(site, rest_api, cloud):
    site.schedule()
    site.due()
    site.step()
    cloud.expire_tokens_of(site.context.user_id)
    rest_api.fault("GET", "checkpoints/", 401)
    _ended(site.later(FOLLOW), "succeeded")


# Requests that fail


@pytest.mark.parametrize("status", [500, 502, 503, 429, 400, 409, 413, 403])
def test_what_may_pass_is_tried_again_with_the_same_key(site, rest_api, status):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", status, times=2)
    for _ in range(2):
        run = site.later(RETRY)
        assert (run.state, run.checkpoint_id) == ("started", None)
        assert str(status) in run.reason or "told to fail" in run.reason
    assert site.later(RETRY).checkpoint_id in rest_api.made
    _ended(site.later(FOLLOW), "succeeded")
    assert len(set(rest_api.posts)) == 1


@pytest.mark.parametrize("status", [None, 503, 504])
def test_an_answer_that_is_lost_begins_nothing_twice(site, rest_api, status):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", status, carried_out=True)
    assert site.step().checkpoint_id is None
    assert list(rest_api.made) == [site.later(RETRY).checkpoint_id]
    _ended(site.later(FOLLOW), "succeeded")


def test_what_was_begun_is_found_after_the_window_too(site, rest_api):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", None, carried_out=True)
    assert site.step().checkpoint_id is None
    rest_api.fault("GET", "checkpoints", 503)
    run = site.later(900)
    assert (run.state, run.checkpoint_id) == ("started", None)
    assert [site.later(RETRY).checkpoint_id] == list(rest_api.made)
    _ended(site.later(FOLLOW), "succeeded")
    assert len(rest_api.posts) == 1


def test_a_run_that_could_not_be_begun_in_its_window_failed(site, rest_api):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", 503, times=100, message="the bank is full")
    while (run := site.later(RETRY)).state == "started":
        pass
    _ended(run, "failed", "the bank is full")
    _logged(site, "failed", "the bank is full")
    assert rest_api.made == {}
    assert 10 < [method for method, _ in rest_api.asked].count("POST") <= 15
    assert site.operation().enabled


def test_a_run_that_nobody_began_in_its_window_is_missed_and_not_run_late(site, rest_api):
    site.schedule()
    site.due()
    _ended(site.later(901), "missed")
    _logged(site, "missed")
    assert rest_api.posts == []


def test_a_run_of_an_operation_that_was_disabled_is_skipped(site, rest_api):
    operation = site.schedule()
    site.due()
    site.database.write(lambda session: SCHEDULED_OPERATIONS.update(session, operation, {"enabled": False}))
    _ended(site.step(), "skipped", "disabled")
    assert rest_api.posts == []


def test_a_run_of_an_operation_that_was_deleted_ends(site, rest_api):
    operation = site.schedule()
    site.due()
    site.database.write(lambda session: SCHEDULED_OPERATIONS.delete(session, operation))
    _ended(site.step(), "failed", "deleted")
    assert (rest_api.posts, site.log()) == ([], [])


# What does not pass


@pytest.mark.parametrize("lacking", [PLAN, PROVIDER])
def test_without_its_plan_or_provider_a_run_fails_at_once(site, rest_api, lacking):
    site.schedule()
    site.due()
    rest_api.lacking.add(lacking)
    _ended(site.step(), "failed", f"there is no {'plan' if lacking == PLAN else 'provider'} {lacking}", "is gone")
    assert len(rest_api.posts) == 1
    assert site.operation().enabled, "it may be there again"
    _logged(site, "failed", lacking)


def test_no_plugin_for_its_type(site, rest_api):
    site.schedule(operation_type="dance")
    site.due()
    _ended(site.step(), "failed", "no plugin for type 'dance'")
    _logged(site, "failed")


def test_an_unforeseen_error_does_not_lose_the_run(site, rest_api):
    class Broken(Protect):
        def begin(self, api, run):
            raise KeyError("a bug")

    site.schedule(operation_type="broken")
    site.due()
    runner = site.make_runner(broken=Broken())
    assert "KeyError" in site.step(runner).reason
    while (run := site.later(RETRY, runner)).state == "started":
        pass
    _ended(run, "failed", "KeyError")


# Checkpoints that fail


def test_a_checkpoint_that_failed_has_a_new_one_in_its_place_within_the_window(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = "error"
    run = site.later(FOLLOW)
    assert (run.state, run.checkpoint_id, run.attempt) == ("started", None, 1)
    assert "the cloud said no" in run.reason
    rest_api.outcome = "available"
    site.later(RETRY)
    _ended(site.later(FOLLOW), "succeeded")
    assert [key[-2:] for key in rest_api.posts] == ["#0", "#1"]


def test_a_checkpoint_that_failed_after_the_window_fails_its_run(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = "error"
    run = site.later(2000)
    _ended(run, "failed", "ended in 'error'", "the cloud said no")
    assert site.log()[0].checkpoint_id == run.checkpoint_id
    assert len(rest_api.posts) == 1


@pytest.mark.parametrize("status", ["deleting", "deleted"])
def test_a_checkpoint_that_somebody_deletes_has_no_other_in_its_place(site, rest_api, status):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = status
    _ended(site.later(FOLLOW), "failed", status)
    assert len(rest_api.posts) == 1


def test_a_checkpoint_that_is_gone(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.made.clear()
    _ended(site.later(FOLLOW), "failed", "is gone")


# Retention


def _older(rest_api, count):
    for number in range(count):
        rest_api.made[str(number)] = {
            "id": str(number),
            "status": "available",
            "timestamp": f"2020-01-0{number + 1}T00:00:00+00:00",
            "extra_info": "{}",
        }


def test_retention_deletes_the_oldest_first_and_never_the_new_one(site, rest_api):
    _older(rest_api, 4)
    site.schedule(**_rules(max_backups=2))
    site.due()
    site.step()
    run = site.later(FOLLOW)
    _ended(run, "succeeded", "3 of 5")
    assert rest_api.deleted == ["0", "1", "2"]


def test_copies_of_checkpoints_are_neither_counted_nor_deleted(site, rest_api):
    _older(rest_api, 4)
    rest_api.made["1"]["extra_info"] = json.dumps({"created_by": "copy", "source_checkpoint_id": "elsewhere"})
    site.schedule(**_rules(max_backups=2))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "2 of 4")
    assert rest_api.deleted == ["0", "2"]


def test_nothing_is_deleted_when_protecting_failed(site, rest_api):
    _older(rest_api, 4)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    rest_api.outcome = "error"
    _ended(site.later(2000), "failed")
    assert rest_api.deleted == []


def test_what_is_in_use_stays_and_that_is_said(site, rest_api):
    _older(rest_api, 2)
    rest_api.fault("DELETE", "checkpoints/0", 409, times=100)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "1 of 3", "1 could not be deleted now")


def test_retention_that_fails_is_done_again_and_protects_nothing_twice(site, rest_api):
    _older(rest_api, 3)
    rest_api.fault("DELETE", "checkpoints/1", 503)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    run = site.later(3600)
    assert run.state == "started"
    assert "is available, but what follows failed" in run.reason
    _ended(site.later(RETRY), "succeeded")
    assert sorted(set(rest_api.deleted)) == ["0", "1", "2"]
    assert len(rest_api.posts) == 1


def test_retention_that_cannot_be_done_fails_the_run_and_says_that_the_checkpoint_is_there(site, rest_api):
    _older(rest_api, 3)
    rest_api.fault("GET", "checkpoints$", 503, times=1000)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    while (run := site.later(RETRY)).state == "started":
        pass
    _ended(run, "failed", "is available, but what follows failed")
    _logged(site, "failed", run.checkpoint_id)
    assert len(rest_api.posts) == 1
    assert rest_api.deleted == []


# Engines that die


def _claimed_by_the_dead(site):
    """An engine took the run, and died."""
    (run,) = site.database.write(lambda session: scheduled_runs.claim(session, "dead", site.clock.now(), LEASE, 1))
    return run


def test_another_engine_goes_on_when_the_claim_has_run_out(site, rest_api):
    site.schedule()
    site.due()
    _claimed_by_the_dead(site)
    assert site.step().owner == "dead"
    assert site.later(LEASE + 1).checkpoint_id in rest_api.made
    _ended(site.later(FOLLOW), "succeeded")


def test_an_engine_that_was_too_slow_records_nothing(site, rest_api):
    site.schedule()
    site.due()
    run = _claimed_by_the_dead(site)
    after = site.later(LEASE + 1)
    assert not site.database.write(lambda session: scheduled_runs.end(session, run, "failed", site.clock.now()))
    assert not site.database.write(lambda session: scheduled_runs.leave(session, run, site.clock.now(), attempt=7))
    assert (site.run().attempt, site.run().checkpoint_id) == (0, after.checkpoint_id)


def test_one_slow_request_keeps_no_other_run_waiting(site, rest_api):
    """Two runs, two workers: one hangs in the API until the other has ended."""
    site.conf.set_override("workers", 2, group="operationengine")
    runner = site.make_runner()
    for _ in range(2):
        site.schedule()
    site.clock.advance(3601)
    assert site.scheduler.fire() == 2
    with rest_api.lock:
        assert runner.look() == 2
        assert runner.look() == 0
    runner.wait()
    assert len(rest_api.posts) == 2
