"""The decision whether something owns a marked object."""

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from karbor_like.plugins.objects import Mark
from karbor_like.plugins.toolkit import ownership
from karbor_like.protection.reaper import owners
from karbor_like.protection.reaper.verdicts import Known, Standing, judge

BEFORE = datetime(2030, 1, 2, tzinfo=UTC)
OLD, YOUNG = BEFORE - timedelta(seconds=1), BEFORE + timedelta(seconds=1)


def known(**values: object) -> Known:
    return Known(**{"is_done": True, "ended_at": OLD, **values})


RESULT = known(results={"id"}, holds=True)
NAMED = known(results={"name"}, holds=True)

#: What the database knows, the time of the creation, whether the object may be final, whether a bank needs it, and its
#: standing.
TABLE = [
    (Known(is_done=False), OLD, False, False, Standing.RUNNING),
    (known(is_cleaning=True), OLD, False, False, Standing.CLEANING),
    (RESULT, OLD, False, False, Standing.NEEDED),
    (RESULT, None, True, None, Standing.NEEDED),
    (NAMED, OLD, False, False, Standing.NEEDED),
    (known(results={"id"}), OLD, False, False, Standing.ENDED),
    (known(results={"id"}), OLD, False, True, Standing.NEEDED),
    (known(results={"another"}, holds=True), OLD, False, False, Standing.ENDED),
    (known(), OLD, False, False, Standing.ENDED),
    (known(), OLD, True, False, Standing.ENDED),
    (known(), OLD, False, True, Standing.NEEDED),
    (known(), OLD, False, None, Standing.UNCERTAIN),
    (known(), YOUNG, False, False, Standing.YOUNG),
    (known(ended_at=YOUNG), OLD, False, False, Standing.YOUNG),
    (known(ended_at=None), OLD, False, False, Standing.ENDED),
    (known(), None, False, False, Standing.UNDATED),
    (None, None, False, False, Standing.UNDATED),
    (None, YOUNG, False, False, Standing.YOUNG),
    (None, OLD, True, False, Standing.UNCERTAIN),
    (None, OLD, False, True, Standing.NEEDED),
    (None, OLD, False, None, Standing.UNCERTAIN),
    (None, OLD, False, False, Standing.UNKNOWN),
]


@pytest.mark.parametrize(("operation", "created_at", "final", "need", "standing"), TABLE)
def test_standing(operation, created_at, final, need, standing):
    mark = Mark("id", "name", str(uuid.uuid4()), created_at, final)
    assert judge(mark, operation, BEFORE, lambda: need) is standing


@pytest.mark.parametrize(
    ("operation", "standing"),
    [
        (known(), Standing.ENDED),
        (known(ended_at=YOUNG), Standing.YOUNG),
        (known(ended_at=None), Standing.UNDATED),
        (Known(is_done=False), Standing.RUNNING),
        (RESULT, Standing.NEEDED),
        (None, Standing.UNDATED),
    ],
)
def test_what_a_journal_names_is_as_old_as_its_operation(operation, standing):
    mark = Mark("id", "name", str(uuid.uuid4()), None, recorded=True)
    assert judge(mark, operation, BEFORE, lambda: False) is standing


def test_banks_are_not_read_for_what_is_decided_without_them():
    def find_need() -> bool:
        raise AssertionError("it is asked for")

    for operation, created_at in ((RESULT, OLD), (Known(is_done=False), OLD), (None, YOUNG), (None, None)):
        judge(Mark("id", "name", "o", created_at), operation, BEFORE, find_need)


def test_ids_are_found_anywhere_in_a_document():
    one, two, three, four = (str(uuid.uuid4()) for _ in range(4))
    record = base64.b64encode(json.dumps({"id": three, "parent_id": four.upper()}).encode()).decode()
    document = {"snapshot": {"id": one, "size": 1}, "list": [f"text {two}", None, True], "record": {"url": record}}
    assert owners._uuids(document) == {one, two, three, four}
    assert owners._uuids({"text": "no base64 ä", "number": 1.5}) == set()


OPERATION = "01234567-89ab-4def-8123-456789abcdef"
MARKED = {ownership.OPERATION: OPERATION}


@pytest.mark.parametrize(
    ("name", "metadata", "found"),
    [
        (ownership.name_prefix(OPERATION, "1") + "-snapshot", {}, True),
        ("a disk", MARKED, True),
        (None, MARKED, True),
        ("a disk", {}, False),
        ("karbor-like-orphan-" + OPERATION, {}, False),
        ("a disk", {ownership.OPERATION: "mine"}, False),
        ("a disk", {ownership.OPERATION: ["a list"]}, False),
        ("a disk", {ownership.OPERATION: OPERATION + "\n"}, False),
    ],
)
def test_marks(name, metadata, found):
    mark = ownership.mark("id", name, metadata, "2030-01-01T00:00:00")
    assert (mark is not None) is found
    assert mark is None or mark.operation_id == OPERATION


@pytest.mark.parametrize(
    ("shown", "moment"),
    [
        ("2030-01-01T12:00:00.000000", datetime(2030, 1, 1, 12, tzinfo=UTC)),
        ("2030-01-01T12:00:00Z", datetime(2030, 1, 1, 12, tzinfo=UTC)),
        ("2030-01-01T12:00:00+02:00", datetime(2030, 1, 1, 10, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
        (1893456000, None),
    ],
)
def test_times_of_clouds(shown, moment):
    mark = ownership.mark("id", None, MARKED, shown)
    assert mark is not None
    assert mark.created_at == moment
