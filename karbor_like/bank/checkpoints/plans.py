"""The plan of a checkpoint: what was protected. Written first, never changed, removed last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.events import PROTECTING, Event
from karbor_like.bank.format import jsonobject, seal
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.leases.lease import Lease
from karbor_like.bank.objectstore.base import ObjectStore

VERSION: Final = 1


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint.

    :param plan: id, name, provider_id and resources, as in the API's ``protection_plan``
    :param resource_graph: the JSON text of the API
    :param created_at: timezone-aware
    :param status: that of the last event; the first status when the checkpoint is created
    """

    id: str
    project_id: str
    provider_id: str
    plan: dict[str, Any]
    resource_graph: str
    extra_info: dict[str, Any]
    created_at: datetime
    status: str = PROTECTING
    events: Sequence[Event] = field(default=(), compare=False)


class Plans:
    """The plans in one bank.

    :param keyring: None if the bank is not encrypted
    """

    def __init__(self, store: ObjectStore, keyring: Keyring | None) -> None:
        self._store = store
        self._keyring = keyring

    def choose_key(self, project_id: str, lease: Lease) -> DataKey | None:
        """Return the key for new objects of a project, once per *lease*; None if the bank is not encrypted."""
        return self._keyring.current(project_id, lease) if self._keyring else None

    def put(self, record: CheckpointRecord, lease: Lease) -> DataKey | None:
        """Store the plan of a checkpoint that has none.

        :returns: the key that it was encrypted with
        """
        key = layout.plan_key(record.id)
        data_key = self.choose_key(record.project_id, lease)
        lease.check()
        self._store.put(key, seal.seal(key, jsonobject.dump(_to_json(record)), data_key))
        return data_key

    def get(self, checkpoint_id: str) -> tuple[CheckpointRecord, DataKey | None]:
        """Read a checkpoint without its events, and the key that its plan was encrypted with.

        The collector keeps that key as long as the checkpoint exists.

        :raises CheckpointNotFound: it has no plan
        :raises Corrupted: the plan is damaged, or belongs to another checkpoint or project
        """
        found = self.find(checkpoint_id)
        if found is None:
            raise exception.CheckpointNotFound(f"there is no checkpoint {checkpoint_id} in the bank")
        return found

    def find(self, checkpoint_id: str) -> tuple[CheckpointRecord, DataKey | None] | None:
        """Return what :meth:`get` returns, or None if the checkpoint has no plan. Raises Corrupted."""
        key = layout.plan_key(checkpoint_id)
        try:
            raw = self._store.get(key)
        except errors.ObjectNotFound:
            return None
        payload = seal.unseal(key, raw, self._keyring.resolve_key if self._keyring else None)
        record = _from_json(key, jsonobject.load(key, payload, VERSION))
        if record.id != checkpoint_id:
            raise errors.Corrupted(f"{key}: is the plan of checkpoint {record.id}")
        data_key = self._keyring.resolve_key(seal.read_header(key, raw).seal_id) if self._keyring else None
        if data_key is not None and data_key.project_id != record.project_id:
            raise errors.Corrupted(
                f"{key}: was sealed with a key of project {data_key.project_id}, not {record.project_id}"
            )
        return record, data_key


def _to_json(record: CheckpointRecord) -> dict[str, Any]:
    body = {name: getattr(record, name) for name in _MEMBERS}
    return {"version": VERSION, **body, "created_at": record.created_at.isoformat()}


_MEMBERS: Final[Mapping[str, type]] = {
    "id": str,
    "project_id": str,
    "provider_id": str,
    "plan": dict,
    "resource_graph": str,
    "extra_info": dict,
    "created_at": str,
}


def _from_json(key: str, body: dict[str, Any]) -> CheckpointRecord:
    for name, kind in _MEMBERS.items():
        if not isinstance(body.get(name), kind):
            raise errors.Corrupted(f"{key}: member {name!r} is missing or of the wrong type")
    if not isinstance(body["plan"].get("id"), str):
        raise errors.Corrupted(f"{key}: the plan has no id")
    created = jsonobject.moment(key, body["created_at"])
    return CheckpointRecord(**{name: body[name] for name in _MEMBERS if name != "created_at"}, created_at=created)
