"""Rotation of the master key: every data key is wrapped with the first master key, and no data is rewritten."""

import contextlib
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from karbor_like.bank import errors, layout
from karbor_like.bank.format.datakey import DataKey
from karbor_like.bank.keys.masters import MasterKey
from karbor_like.bank.keys.wrapping import Wrappings


@dataclass(frozen=True)
class Rotation:
    """The result of a rotation.

    :param wrapped: number of data keys that were wrapped with the first master key
    :param already: number of data keys that had been wrapped with it before
    :param removed: number of objects that were deleted
    :param failed: data keys that could not be rotated, with the reasons
    """

    wrapped: int
    already: int
    removed: int
    failed: Sequence[str]


def rotate(
    wrappings: Wrappings, *, remove_old: bool = False, progress: Callable[[int], None] | None = None
) -> Rotation:
    """Wrap every data key with the first master key, which makes the other master keys dispensable. Idempotent.

    :param remove_old: also delete what the other master keys wrapped, as is necessary if one of them was disclosed. A data
        key is left unchanged if its object of the first master key does not open
    :param progress: called with the number of data keys done
    """
    master = wrappings.masters.get(wrappings.masters.ids()[0])
    wrapped = already = removed = 0
    failed: list[str] = []
    for done, ((project_id, data_key_id), master_ids) in enumerate(wrappings.list().items(), 1):
        try:
            # A listing may lag and does not show what an object holds, so open the object regardless of the listing.
            # One that does not open stays: on another host, another master key may have this name.
            key = _unwrap_or_none(wrappings, project_id, data_key_id, master)
            if key is None:
                key = wrappings.unwrap(project_id, data_key_id)
                wrappings.wrap(key, master)
                wrapped += 1
            else:
                already += 1
            if remove_old:
                removed += _remove_old(wrappings, key, master, master_ids - {master.id})
        except (errors.ObjectNotFound, *errors.UNREADABLE) as error:
            failed.append(f"{layout.data_key_prefix(project_id, data_key_id)}: {error}")
        if progress:
            progress(done)
    return Rotation(wrapped, already, removed, failed)


def _unwrap_or_none(wrappings: Wrappings, project_id: str, data_key_id: str, master: MasterKey) -> DataKey | None:
    try:
        return wrappings.unwrap_with(project_id, data_key_id, master)
    except errors.ObjectNotFound:
        return None


def _remove_old(wrappings: Wrappings, key: DataKey, kept: MasterKey, master_ids: Set[str]) -> int:
    """Delete what *master_ids* wrapped. Raises Corrupted if one of them wrapped another key than *kept* did."""
    for master_id in master_ids & set(wrappings.masters.ids()):
        other = None
        # An object that does not open is no loss.
        with contextlib.suppress(*errors.UNREADABLE):
            other = _unwrap_or_none(wrappings, key.project_id, key.id, wrappings.masters.get(master_id))
        if other not in (None, key):
            raise errors.Corrupted(
                f"{layout.wrapped_key(key.project_id, key.id, kept.id)}: holds another key than the one that"
                f" {master_id!r} wrapped; neither was changed"
            )
    for master_id in master_ids:
        with contextlib.suppress(errors.ObjectNotFound):
            wrappings.delete(key, master_id)
    # A concurrent rotation on another host, with other master keys, may have deleted the one that was kept here.
    if master_ids and _unwrap_or_none(wrappings, key.project_id, key.id, kept) is None:
        wrappings.wrap(key, kept)
    return len(master_ids)
