"""Runs from start to end: the requests to the API, retries, and the handling of responses."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from karbor_like.db import scheduled_runs
from karbor_like.db.models.base import new_id
from karbor_like.db.scheduled_operations import SCHEDULED_OPERATIONS
from karbor_like.operationengine.operations.protect import Protect
from tests.fixtures.metrics import Growth
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


# Start and follow


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


def test_a_run_that_a_user_asked_for_is_one_like_any_other(site, rest_api):
    operation = site.schedule()
    site.clock.advance(600)
    row, window = site.operation(), timedelta(seconds=900)
    run_id = new_id()
    site.database.write(
        lambda session: scheduled_runs.start_now(session, run_id, row, site.clock.now(), window) and None
    )
    run = site.step()
    assert (run.id, run.state, list(rest_api.made)) == (run_id, "started", [run.checkpoint_id])
    assert json.loads(rest_api.made[run.checkpoint_id]["extra_info"])["scheduled_operation_id"] == operation
    assert rest_api.posts == [f"{operation}@2031-03-01T00:10:00+00:00#0"]
    _ended(site.later(FOLLOW), "succeeded")
    assert site.log() == []
    assert site.due().state == "started", "the trigger is unaffected"


def test_a_run_that_a_user_asked_for_and_no_engine_started_is_missed(site):
    site.schedule()
    row, window = site.operation(), timedelta(seconds=900)
    site.database.write(
        lambda session: scheduled_runs.start_now(session, new_id(), row, site.clock.now(), window) and None
    )
    _ended(site.later(901), "missed")
    _logged(site, "missed")


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


def test_the_api_may_be_unreachable_while_a_checkpoint_is_followed(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.fault("GET", "checkpoints/", 503, times=5)
    for _ in range(5):
        assert site.later(3600).state == "started"
    _ended(site.later(FOLLOW), "succeeded")
    assert len(rest_api.posts) == 1


@pytest.mark.parametrize("status", [503, 401])
def test_keystone_may_fail_while_a_checkpoint_is_followed(site, rest_api, cloud, status):
    """401 means that the service's own account does not work."""
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


def test_the_database_may_fail_while_a_checkpoint_is_followed(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    broken = []

    def fail(connection, cursor, statement, parameters, context, many):
        if "FROM schedule_trusts" in statement and len(broken) < 3:
            broken.append(statement)
            raise db_exception.DBConnectionError

    sa.event.listen(site.database.engine, "before_cursor_execute", fail)
    for _ in range(3):
        assert site.later(3600).state == "started"
    assert len(broken) == 3
    _ended(site.later(FOLLOW), "succeeded")


def test_an_expired_token_is_renewed_during_a_run(site, rest_api, cloud):
    site.schedule()
    site.due()
    site.step()
    cloud.expire_tokens_of(site.context.user_id)
    rest_api.fault("GET", "checkpoints/", 401)
    _ended(site.later(FOLLOW), "succeeded")


# Requests that fail


@pytest.mark.parametrize("status", [500, 502, 503, 429, 400, 409, 413, 403])
def test_a_temporary_failure_is_retried_with_the_same_key(site, rest_api, status):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", status, times=2, message="the bank is busy")
    for _ in range(2):
        run = site.later(RETRY)
        assert (run.state, run.checkpoint_id) == ("started", None)
        assert str(status) in run.reason or "the bank is busy" in run.reason
    assert site.later(RETRY).checkpoint_id in rest_api.made
    _ended(site.later(FOLLOW), "succeeded")
    assert len(set(rest_api.posts)) == 1


@pytest.mark.parametrize("status", [None, 503, 504])
def test_a_lost_response_does_not_start_a_second_checkpoint(site, rest_api, status):
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", status, carried_out=True)
    assert site.step().checkpoint_id is None
    assert list(rest_api.made) == [site.later(RETRY).checkpoint_id]
    _ended(site.later(FOLLOW), "succeeded")


def test_a_started_checkpoint_is_found_even_after_the_window(site, rest_api):
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


def test_a_run_that_could_not_start_within_its_window_fails(site, rest_api):
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


@pytest.mark.parametrize(
    ("jitter", "expected"), [(0.0, [60, 60, 120, 240, 210]), (0.5, [60, 60, 60, 90, 135, 123]), (1.0, [60] * 5)]
)
def test_retries_become_rarer(site, rest_api, jitter, expected):
    site.jitter = jitter
    site.schedule()
    site.due()
    rest_api.fault("POST", "checkpoints", 409, times=100, message="it is busy")
    run, delays = site.step(), []
    while len(delays) < len(expected):
        delays.append((run.next_look_at - site.clock.now()).total_seconds())
        run = site.later(delays[-1])
    # The run was found a little late.
    assert delays == pytest.approx(expected, abs=10)


def test_a_run_that_no_engine_started_within_its_window_is_missed(site, rest_api):
    growth = Growth(("karbor_like_scheduled_runs_total", {"state": "missed"}))
    site.schedule()
    site.due()
    _ended(site.later(901), "missed")
    assert growth.values == [1]
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


# Permanent failures


@pytest.mark.parametrize("lacking", [PLAN, PROVIDER])
def test_a_run_without_its_plan_or_provider_fails_immediately(site, rest_api, lacking):
    site.schedule()
    site.due()
    rest_api.lacking.add(lacking)
    noun = "plan" if lacking == PLAN else "provider"
    _ended(site.step(), "failed", f"{noun} {lacking}: does not exist: ")
    assert len(rest_api.posts) == 1
    assert site.operation().enabled, "it may exist again later"
    _logged(site, "failed", lacking)


def test_a_run_without_a_plugin_for_its_type_fails(site, rest_api):
    site.schedule(operation_type="dance")
    site.due()
    _ended(site.step(), "failed", "no plugin for type 'dance'")
    _logged(site, "failed")


def test_an_unexpected_error_does_not_lose_the_run(site, rest_api):
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


def test_a_failed_checkpoint_is_replaced_within_the_window(site, rest_api):
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


def test_a_checkpoint_that_fails_after_the_window_fails_its_run(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = "error"
    run = site.later(2000)
    _ended(run, "failed", "ended in 'error'", "the cloud said no")
    assert site.log()[0].checkpoint_id == run.checkpoint_id
    assert len(rest_api.posts) == 1


@pytest.mark.parametrize("status", ["deleting", "deleted"])
def test_a_deleted_checkpoint_is_not_replaced(site, rest_api, status):
    site.schedule()
    site.due()
    site.step()
    rest_api.outcome = status
    _ended(site.later(FOLLOW), "failed", status)
    assert len(rest_api.posts) == 1


def test_a_checkpoint_that_no_longer_exists_fails_its_run(site, rest_api):
    site.schedule()
    site.due()
    site.step()
    rest_api.made.clear()
    _ended(site.later(FOLLOW), "failed", "no longer exists")


# Retention


def _older(rest_api, count):
    for number in range(count):
        rest_api.made[str(number)] = {
            "id": str(number),
            "status": "available",
            "timestamp": f"2020-01-0{number + 1}T00:00:00+00:00",
            "extra_info": "{}",
            "left_out": [],
        }


def test_retention_deletes_the_oldest_first_and_never_the_new_one(site, rest_api):
    _older(rest_api, 4)
    site.schedule(**_rules(max_backups=2))
    site.due()
    site.step()
    run = site.later(FOLLOW)
    _ended(run, "succeeded", "3 of 5")
    assert rest_api.deleted == ["0", "1", "2"]


def test_ages_are_counted_by_the_clock_that_dates_checkpoints(site, rest_api):
    """The clock of the engine is another one, and may be wrong: here it is eleven years ahead."""
    _older(rest_api, 5)
    site.schedule(**_rules(retention_duration=2))
    site.due()
    run = site.step()
    rest_api.made[run.checkpoint_id]["timestamp"] = "2020-01-06T00:00:00+00:00"
    _ended(site.later(FOLLOW), "succeeded", "3 of 6")
    assert rest_api.deleted == ["0", "1", "2"]


def test_a_checkpoint_of_the_future_does_not_cost_the_new_one(site, rest_api):
    """It was created while the clock of the database was ahead."""
    _older(rest_api, 3)
    rest_api.made["2"]["timestamp"] = "2999-01-01T00:00:00+00:00"
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "2 of 4")
    assert rest_api.deleted == ["0", "1"]


def test_nothing_is_deleted_if_the_new_checkpoint_is_no_longer_available(site, rest_api):
    """Its owner deletes it after the engine has seen that it is available."""
    _older(rest_api, 3)
    site.schedule(**_rules(max_backups=1))
    site.due()
    rest_api.unlisted.add(site.step().checkpoint_id)
    _ended(site.later(FOLLOW), "succeeded", "nothing is deleted")
    assert rest_api.deleted == []


def test_retention_keeps_the_last_checkpoint_that_left_nothing_out(site, rest_api):
    _older(rest_api, 4)
    rest_api.left_out = [{"type": "OS::Cinder::Volume", "id": "v", "name": "", "reason": "its state is error"}]
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "3 of 5")
    assert rest_api.deleted == ["0", "1", "2"]


def test_copies_of_checkpoints_are_neither_counted_nor_deleted(site, rest_api):
    _older(rest_api, 4)
    rest_api.made["1"]["extra_info"] = json.dumps({"created_by": "copy", "source_checkpoint_id": "elsewhere"})
    site.schedule(**_rules(max_backups=2))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "2 of 4")
    assert rest_api.deleted == ["0", "2"]


def test_nothing_is_deleted_if_protecting_fails(site, rest_api):
    _older(rest_api, 4)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    rest_api.outcome = "error"
    _ended(site.later(2000), "failed")
    assert rest_api.deleted == []


def test_a_checkpoint_in_use_is_kept_and_reported(site, rest_api):
    _older(rest_api, 2)
    rest_api.fault("DELETE", "checkpoints/0", 409, times=100)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    _ended(site.later(FOLLOW), "succeeded", "1 of 3", "1 could not be deleted now")


def test_failed_retention_is_retried_without_another_checkpoint(site, rest_api):
    _older(rest_api, 3)
    rest_api.fault("DELETE", "checkpoints/1", 503)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    run = site.later(3600)
    assert run.state == "started"
    assert "is available, but the next step failed" in run.reason
    _ended(site.later(RETRY), "succeeded")
    assert sorted(set(rest_api.deleted)) == ["0", "1", "2"]
    assert len(rest_api.posts) == 1


def test_retention_that_always_fails_fails_the_run_and_names_the_checkpoint(site, rest_api):
    _older(rest_api, 3)
    rest_api.fault("GET", "checkpoints$", 503, times=1000)
    site.schedule(**_rules(max_backups=1))
    site.due()
    site.step()
    while (run := site.later(RETRY)).state == "started":
        pass
    _ended(run, "failed", "is available, but the next step failed")
    _logged(site, "failed", run.checkpoint_id)
    assert len(rest_api.posts) == 1
    assert rest_api.deleted == []


# Engines that die


def _claim_and_die(site):
    """Claim the run as an engine that dies afterwards."""
    (run,) = site.database.write(lambda session: scheduled_runs.claim(session, "dead", site.clock.now(), LEASE, 1))
    return run


def test_another_engine_takes_over_when_the_claim_has_expired(site, rest_api):
    site.schedule()
    site.due()
    _claim_and_die(site)
    assert site.step().owner == "dead"
    assert site.later(LEASE + 1).checkpoint_id in rest_api.made
    _ended(site.later(FOLLOW), "succeeded")


def test_an_engine_that_lost_its_claim_records_nothing(site, rest_api):
    site.schedule()
    site.due()
    run = _claim_and_die(site)
    after = site.later(LEASE + 1)
    assert not site.database.write(lambda session: scheduled_runs.end(session, run, "failed", site.clock.now()))
    assert not site.database.write(lambda session: scheduled_runs.release(session, run, site.clock.now(), attempt=7))
    assert (site.run().attempt, site.run().checkpoint_id) == (0, after.checkpoint_id)


def test_a_slow_request_does_not_block_other_runs(site, rest_api):
    """Two runs, two workers: one run waits in the API until the other has ended."""
    site.conf.set_override("workers", 2, group="operationengine")
    runner = site.make_runner()
    for _ in range(2):
        site.schedule()
    site.clock.advance(3601)
    assert site.scheduler.fire() == 2
    with rest_api.lock:
        assert runner.poll() == 2
        assert runner.poll() == 0
    runner.wait()
    assert len(rest_api.posts) == 2
