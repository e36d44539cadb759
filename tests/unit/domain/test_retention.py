"""Retention as a pure function, and the properties that hold for all checkpoints and rules."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like import exception
from karbor_like.domain import copies, retention

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)

ages = st.lists(st.integers(0, 900 * 24), min_size=0, max_size=40)
rules = st.dictionaries(st.sampled_from(retention.RULES), st.integers(1, 12))


def checkpoints(hours, in_use=()):
    return [
        retention.Candidate(f"c{number}", NOW - timedelta(hours=age), "restore r" if number in in_use else None)
        for number, age in enumerate(hours)
    ]


def deleted(decisions):
    return {decision.id for decision in decisions if decision.delete}


@given(ages, rules)
def test_the_last_available_checkpoint_is_never_deleted(hours, policy):
    listed = checkpoints(hours)
    gone = deleted(retention.decide(listed, policy, NOW))
    assert len(gone) < max(len(listed), 1)
    if listed:
        newest = max(listed, key=lambda candidate: (candidate.created_at, candidate.id))
        assert newest.id not in gone


@given(ages, rules, st.sets(st.integers(0, 39)))
def test_the_last_checkpoint_that_left_nothing_out_is_never_deleted(hours, policy, partial):
    listed = [
        dataclasses.replace(candidate, is_partial=number in partial)
        for number, candidate in enumerate(checkpoints(hours))
    ]
    decisions = retention.decide(listed, policy, NOW)
    partial_ids = {candidate.id for candidate in listed if candidate.is_partial}
    last = next((decision for decision in decisions if decision.id not in partial_ids), None)
    assert last is None or not last.delete


def test_partial_checkpoints_do_not_replace_a_complete_one():
    newer = [retention.Candidate(f"p{age}", NOW - timedelta(days=age), is_partial=True) for age in range(3)]
    complete = [retention.Candidate(f"c{age}", NOW - timedelta(days=age)) for age in (5, 6)]
    decisions = {one.id: one for one in retention.decide([*newer, *complete], {"max_backups": 1}, NOW)}
    assert [key for key, one in decisions.items() if not one.delete] == ["p0", "c5"]
    assert decisions["c5"].reason == "it is the last checkpoint of the plan that left nothing out"


@given(ages, rules, st.sets(st.integers(0, 39)))
def test_a_checkpoint_in_use_is_never_deleted(hours, policy, in_use):
    gone = deleted(retention.decide(checkpoints(hours, in_use), policy, NOW))
    assert not gone & {f"c{number}" for number in in_use}


@given(ages, rules)
def test_every_checkpoint_gets_one_decision_newest_first(hours, policy):
    listed = checkpoints(hours)
    decisions = retention.decide(listed, policy, NOW)
    order = sorted(listed, key=lambda candidate: (candidate.created_at, candidate.id), reverse=True)
    assert [decision.id for decision in decisions] == [candidate.id for candidate in order]
    assert all(decision.reason for decision in decisions)


@given(ages, rules)
def test_deciding_again_deletes_nothing_more(hours, policy):
    listed = checkpoints(hours)
    gone = deleted(retention.decide(listed, policy, NOW))
    left = [candidate for candidate in listed if candidate.id not in gone]
    assert deleted(retention.decide(left, policy, NOW)) == set()


@given(ages, st.integers(1, 12))
def test_max_backups_keeps_the_newest(hours, count):
    listed = checkpoints(hours)
    gone = deleted(retention.decide(listed, {"max_backups": count}, NOW))
    order = sorted(listed, key=lambda candidate: (candidate.created_at, candidate.id), reverse=True)
    assert gone == {candidate.id for candidate in order[count:]}


def test_retention_duration_keeps_younger_checkpoints():
    decisions = retention.decide(checkpoints([1, 47, 49, 100]), {"retention_duration": 2}, NOW)
    assert deleted(decisions) == {"c2", "c3"}


@pytest.mark.parametrize("policy", [{"max_backups": 2}, {"daily": 2}, {"max_backups": 2, "retention_duration": 7}])
def test_a_checkpoint_of_the_future_takes_no_place_of_another(policy):
    decisions = retention.decide(checkpoints([-20_000, -9000, -1, 0, 24, 48]), policy, NOW)
    assert [decision.id for decision in decisions if not decision.delete] == ["c0", "c1", "c2", "c3", "c4"]


def test_both_limits_must_hold():
    decisions = retention.decide(checkpoints([1, 2, 3, 100]), {"retention_duration": 2, "max_backups": 2}, NOW)
    assert deleted(decisions) == {"c2", "c3"}


def test_grandfather_father_son_keeps_the_newest_of_each_period():
    hours = [0, 1, 2, 24, 25, 48, 24 * 31, 24 * 32, 24 * 365]
    decisions = retention.decide(checkpoints(hours), {"daily": 2, "monthly": 2, "yearly": 2}, NOW)
    kept = {decision.id: decision.reason for decision in decisions if not decision.delete}
    assert set(kept) == {"c0", "c3", "c6", "c8"}
    assert "monthly" in kept["c6"]
    assert "yearly" in kept["c8"]


def test_without_rules_every_checkpoint_is_kept():
    assert deleted(retention.decide(checkpoints([0, 10000]), {}, NOW)) == set()


@pytest.mark.parametrize("value", [0, -1, "0", "-3", "seven", 1.5, True, [], {}, "1.0"])
@pytest.mark.parametrize("name", retention.RULES)
def test_a_count_that_is_not_a_positive_integer_is_refused(name, value):
    with pytest.raises(exception.InvalidInput, match=f"^{name}: "):
        retention.policy({name: value})


def test_digits_as_text_and_absent_rules_are_accepted():
    assert retention.policy({"max_backups": "3", "daily": 7, "weekly": None, "yearly": "", "plan_id": "x"}) == {
        "max_backups": 3,
        "daily": 7,
    }


@pytest.mark.parametrize("value", [36_501, "999999999"])
def test_a_duration_of_more_than_a_century_is_refused(value):
    with pytest.raises(exception.InvalidInput, match=f"retention_duration: {value} days .* at most 36500"):
        retention.check({"retention_duration": value})
    retention.check({"retention_duration": 36_500})


def test_copies_are_not_candidates():
    copied = copies.extra_info("c1", "p1", NOW, {})
    candidates = retention.candidates(
        [("c1", NOW, None, False), ("c2", NOW, copied, False), ("c3", NOW, {}, True)], {"c3": "restore r"}
    )
    assert candidates == [retention.Candidate("c1", NOW), retention.Candidate("c3", NOW, "restore r", is_partial=True)]


def test_a_duration_that_was_stored_before_the_limit_existed_keeps_everything():
    rules = retention.policy({"retention_duration": "999999999"})
    assert deleted(retention.decide(checkpoints([1, 24 * 365 * 90]), rules, NOW)) == set()
