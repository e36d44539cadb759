"""The records of Cinder's backups, with which another Cinder finds their data.

A record comes from a bank, and an administrator's identity imports it. So it is checked that it describes the backup of the
checkpoint, and no data of another volume or project. Cinder itself does not check that.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import Section, errors
from karbor_like.clients.errors import translated
from karbor_like.plugins.protection import HookContext

RECORDS: Final = "records"

#: Records of one checkpoint: its backup and all its ancestors.
MAX_RECORDS: Final = 64
#: Characters of a record. Cinder's have about 1,500.
_MAX_LENGTH: Final = 16384
_MAX_SERVICE: Final = 255

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: A record as Cinder exports it: ``backup_service`` and ``backup_url``.
Record = Mapping[str, Any]


def parent_of(record: Record) -> str | None:
    """Return the id of the parent that *record* names. Raises ResourceFailed if the record cannot be read."""
    parent: str | None = _decode(record).get("parent_id")
    return parent


def id_of(record: Record) -> str:
    """Return the id of the backup that *record* describes. Raises ResourceFailed if the record cannot be read."""
    return str(_decode(record)["id"])


def store(context: HookContext, chain: Sequence[Record]) -> None:
    """Write the records of a backup and its ancestors, oldest first, to the bank."""
    context.section.put(RECORDS, {"records": list(chain)})


def load(context: HookContext, backup_id: str) -> Sequence[Record]:
    """Return the records of the checkpoint's backup, oldest first. Raises ResourceFailed if they are wrong."""
    chain = context.section.get(RECORDS).get("records")
    if not isinstance(chain, list):
        raise _refuse("the bank has no list of records")
    check(chain, backup_id, context.resource.id, context.project_id)
    return chain


def export(context: HookContext, backup_id: str) -> list[Record]:
    """Return the records of a backup and its ancestors, as Cinder exports them, oldest first.

    A chain that is too long is not read to its end, and :func:`check` refuses it. Raises ConfigurationError if
    there is no service user, and what ``translated`` raises.
    """
    service = context.service
    if service is None:
        raise exception.ConfigurationError(
            "records are exported by the service user, and [service_auth] is not configured"
        )

    def read(wanted: str) -> Record:
        with translated(f"the record of backup {wanted}"):
            record = service.cinder().backups.export_record(wanted)
            return {name: record[name] for name in ("backup_service", "backup_url")}

    chain: list[Record] = []
    following: str | None = backup_id
    while following is not None and len(chain) <= MAX_RECORDS:
        chain.insert(0, context.waiter.call(lambda wanted=following: read(wanted), check=context.check))  # type: ignore[misc]
        following = parent_of(chain[0])
    return chain


def ancestors(section: Section) -> Sequence[str]:
    """Return the ids of the ancestors of another checkpoint's backup, as far as its section has readable records."""
    try:
        chain = section.get(RECORDS).get("records")
        return [id_of(record) for record in chain[:-1]] if isinstance(chain, list) else []
    except (errors.ObjectNotFound, exception.ResourceFailed):
        return []


def check(chain: Sequence[Record], backup_id: str, volume_id: str, project_id: str) -> None:
    """Check that *chain* leads from a full backup to *backup_id*, and describes only backups of that volume and project.

    Raises ResourceFailed.
    """
    if not 1 <= len(chain) <= MAX_RECORDS:
        raise _refuse(f"there are {len(chain)} records, and 1 to {MAX_RECORDS} are allowed")
    documents = [_decode(record) for record in chain]
    ids = [document.get("id") for document in documents]
    if len(set(map(str, ids))) < len(ids):
        raise _refuse("a backup is its own ancestor")
    if ids[-1] != backup_id:
        raise _refuse(f"they describe backup {ids[-1]!r} instead of {backup_id!r}")
    for document, parent_id in zip(documents, [None, *ids[:-1]], strict=True):
        _require(document, "parent_id", parent_id)
        _require(document, "volume_id", volume_id)
        _require(document, "project_id", project_id)
        _check_place(document, {volume_id, *map(str, ids)})


def _check_place(document: Mapping[str, Any], known: set[str]) -> None:
    """Check that the data are where Cinder's drivers write those of this backup: container and prefix have its id."""
    place = f"{document.get('container')} {document.get('service_metadata')}"
    named = {found.lower() for found in _UUID.findall(place)}
    foreign = sorted(named - {text.lower() for text in known})
    if foreign:
        raise _refuse(f"backup {document['id']} has its data where those of {foreign[0]} are")
    if str(document["id"]).lower() not in named:
        raise _refuse(f"nothing shows that the data of backup {document['id']} belong to it")


def _require(document: Mapping[str, Any], name: str, expected: str | None) -> None:
    if (document.get(name) or None) != expected:
        raise _refuse(f"the {name} of backup {document.get('id')!r} is {document.get(name)!r} instead of {expected!r}")


def _decode(record: Record) -> dict[str, Any]:
    service, url = (
        record.get(name) if isinstance(record, Mapping) else None for name in ("backup_service", "backup_url")
    )
    if (
        not isinstance(service, str)
        or not isinstance(url, str)
        or len(service) > _MAX_SERVICE
        or len(url) > _MAX_LENGTH
    ):
        raise _refuse("one is not a record, or is too long")
    try:
        document = json.loads(base64.b64decode(url, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _refuse("one cannot be decoded") from error
    if not isinstance(document, dict) or not isinstance(document.get("id"), str) or not _UUID.fullmatch(document["id"]):
        raise _refuse("one does not describe a backup")
    return document


def _refuse(reason: str) -> exception.ResourceFailed:
    return exception.CheckpointDamaged(f"the records of the Cinder backup cannot be used: {reason}")
