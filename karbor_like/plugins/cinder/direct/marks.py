"""Marks that the storage keeps below Cinder, as objects that operations create and delete.

A protect reads the mark itself, in place of a snapshot of Cinder's. Ids are derived from the names in the journal, so that a
retry finds what an earlier attempt made.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from karbor_like import exception
from karbor_like.plugins.cinder.direct import choice
from karbor_like.plugins.cinder.direct.backend import Backend, StoredVolume
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import cloud_objects

LOG = logging.getLogger(__name__)

#: Role of the mark.
STORAGE_MARK: Final = "storage-mark"


@dataclass(frozen=True)
class _Mark:
    id: str
    status: str = "available"


class StorageMarks(CloudObjects):
    """The marks of the volume of one operation.

    A volume that was deleted has none: the storage deletes them with it. Nor has one that Cinder moved to a storage which
    keeps no marks: what it left behind was deleted likewise.
    """

    noun = "mark in the storage"
    ready = "available"
    deletable = None

    def __init__(self, context: HookContext, rules: Sequence[choice.Rule]) -> None:
        super().__init__(context.clients)
        self._context = context
        self._rules = rules

    @staticmethod
    def id_of(name: str) -> str:
        """Return the id of the mark with a name in the journal."""
        return str(uuid5(NAMESPACE_OID, name))

    def create(self, name: str) -> str:
        """Make a mark of the present content of the volume, and return its id."""
        backend, volume = self._located
        backend.keep_mark(volume, self.id_of(name))
        return self.id_of(name)

    def get(self, cloud_id: str) -> Any:
        backend, volume = self._located
        if cloud_id not in backend.kept_marks(volume):
            raise exception.ResourceNotFound(f"{self.noun} {cloud_id} does not exist")
        return _Mark(cloud_id)

    def find(self, name: str) -> Sequence[str]:
        try:
            return [self.get(self.id_of(name)).id]
        except exception.ResourceNotFound:
            return []

    def delete(self, current: Any) -> None:
        backend, volume = self._located
        backend.remove_mark(volume, current.id)

    def failure(self, current: Any) -> str | None:
        return None

    @cached_property
    def _located(self) -> tuple[Backend, StoredVolume]:
        """The backend and the volume, asked for once. Raises ResourceNotFound if there can be no marks."""
        context = self._context
        seen = cloud_objects.fetch(context, Volumes(self.clients), context.resource.id)
        volume = choice.locate(context, seen)
        rule = choice.find_rule(self._rules, volume)
        if rule is None and volume.host is not None or rule is not None and not rule.backend.keeps_marks:
            LOG.warning("volume %s: no storage that keeps marks has it, at the host %s", volume.id, volume.host)
            raise exception.ResourceNotFound(f"the storage of volume {volume.id} keeps no marks")
        backend, reason = choice.choose(context, self._rules, volume)
        if backend is None:
            raise exception.ResourceFailed(f"the marks of volume {volume.id} cannot be reached: {reason}")
        return backend, volume
