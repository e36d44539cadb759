"""Records of Cinder backups that do not describe the backup of a checkpoint are refused."""

import base64
import json
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.plugins.cinder import records

VOLUME, PROJECT = "5a1d0000-0000-4000-8000-000000000001", "f00" * 8


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def record(number: int, parent: int | None, **changes: Any) -> dict[str, str]:
    content = {
        "id": uuid(number),
        "parent_id": uuid(parent) if parent else None,
        "volume_id": VOLUME,
        "project_id": PROJECT,
        "container": "volumebackups",
        "service_metadata": f"volume_{VOLUME}/20260101000000/az_nova_backup_{uuid(number)}",
        **changes,
    }
    return {"backup_service": "swift", "backup_url": base64.b64encode(json.dumps(content).encode()).decode()}


def chain(length: int) -> list[dict[str, str]]:
    return [record(number, number - 1) for number in range(1, length + 1)]


def check(found: list[Any], last: int) -> None:
    records.check(found, uuid(last), VOLUME, PROJECT)


@pytest.mark.parametrize("length", [1, 2, records.MAX_RECORDS])
def test_chains_that_are_accepted(length: int) -> None:
    check(chain(length), length)
    assert records.parent_of(chain(length)[-1]) == (uuid(length - 1) if length > 1 else None)


@pytest.mark.parametrize(
    "changes",
    [
        {"service_metadata": "backup", "container": f"00/00/{uuid(1)}"},  # file systems
        {"service_metadata": json.dumps({"base": f"volume-{VOLUME}.backup.{uuid(1)}"})},  # Ceph
        {"service_metadata": f"VOLUME_{VOLUME}/x/backup_{uuid(1).upper()}"},
        {"parent_id": ""},
    ],
)
def test_places_of_other_drivers(changes: dict[str, str]) -> None:
    check([record(1, None, **changes)], 1)


@pytest.mark.parametrize(
    ("found", "last", "reason"),
    [
        ([], 1, "there are 0 records"),
        (chain(records.MAX_RECORDS + 1), records.MAX_RECORDS + 1, "there are 65 records, and 1 to 64"),
        ([record(1, 2), record(2, 1)], 2, "the parent_id of backup"),
        ([record(1, None), record(1, 1)], 1, "its own ancestor"),
        ([record(1, None), record(2, None)], 2, "the parent_id of backup"),
        (chain(3)[1:], 3, "the parent_id of backup"),
        (chain(2), 3, "they describe backup"),
        ([record(1, None, id=7)], 1, "does not describe a backup"),
        ([record(1, None, id="../x")], 1, "does not describe a backup"),
        ([record(1, None, parent_id={"a": 1})], 1, "the parent_id"),
        ([record(1, None, service_metadata=None)], 1, "nothing shows"),
        (["text"], 1, "not a record"),
        ([{"backup_service": "swift"}], 1, "not a record"),
        ([{"backup_service": "s" * 256, "backup_url": "e30="}], 1, "not a record, or is too long"),
        ([{"backup_service": "swift", "backup_url": "A" * 16388}], 1, "too long"),
        ([{"backup_service": "swift", "backup_url": "no base64"}], 1, "cannot be decoded"),
        ([{"backup_service": "swift", "backup_url": base64.b64encode(b"[" * 12000).decode()}], 1, "cannot be decoded"),
        ([{"backup_service": "swift", "backup_url": base64.b64encode(b"[]").decode()}], 1, "does not describe"),
        ([{"backup_service": "swift", "backup_url": base64.b64encode(b"\xff").decode()}], 1, "cannot be decoded"),
    ],
)
def test_chains_that_are_refused(found: list[Any], last: int, reason: str) -> None:
    with pytest.raises(exception.ResourceFailed, match=f"cannot be used: .*{reason}"):
        check(found, last)
