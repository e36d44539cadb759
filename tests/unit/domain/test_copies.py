from datetime import UTC, datetime

from karbor_like.domain import copies

CREATED = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
SCHEDULED = {
    "created_by": "operation-engine",
    "trigger_id": "t",
    "scheduled_operation_id": "s",
    "due_at": "2031-05-06T07:08:00+00:00",
    "attempt": 0,
}


def test_a_copy_names_its_source_and_keeps_what_its_owner_wrote():
    assert copies.extra_info("c1", "p1", CREATED, {"label": "before the upgrade", "n": 3}) == {
        "label": "before the upgrade",
        "n": 3,
        "created_by": "copy",
        "source_checkpoint_id": "c1",
        "source_provider_id": "p1",
        "source_created_at": "2031-05-06T07:08:09.123456+00:00",
    }


def test_a_copy_is_not_a_run_of_a_schedule():
    copied = copies.extra_info("c1", "p1", CREATED, SCHEDULED)
    assert copied["created_by"] == "copy"
    assert not (set(SCHEDULED) - {"created_by"}) & set(copied)


def test_the_owner_cannot_forge_the_origin_of_a_copy():
    forged = {"source_checkpoint_id": "another", "source_provider_id": "another", **copies.FINISHED}
    copied = copies.extra_info("c1", "p1", CREATED, forged)
    assert copies.source_of(copied) == "c1"
    assert copied["source_provider_id"] == "p1"
    assert "copy_status" not in copied


def test_a_checkpoint_that_is_not_a_copy_has_no_source():
    assert copies.source_of({"created_by": "manual"}) is None
