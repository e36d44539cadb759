"""Deletion of the objects that an operation created in a cloud: temporary ones at its end, all of them after a failure."""

import logging
from collections.abc import Iterable, Mapping

from karbor_like import exception
from karbor_like.plugins.objects import CloudObjects
from karbor_like.plugins.protection import Entry, HookContext
from karbor_like.plugins.toolkit.cloud_objects import candidates, delete

LOG = logging.getLogger(__name__)


def remove(context: HookContext, objects: CloudObjects, role: str) -> None:
    """Delete this operation's object *role*, wait until it is deleted, and record that. Does nothing if none exists."""
    for entry in context.journal.entries():
        if entry.role == role:
            for cloud_id in candidates(context, objects, entry):
                delete(context, objects, cloud_id, check=context.check)
            context.journal.gone(role)


def release(context: HookContext, roles: Mapping[str, CloudObjects]) -> list[str]:
    """Delete the temporary objects that the journal names, newest first. If one cannot be deleted, continue with the next.

    For the end of a hook whose result is complete: an object that remains is no reason to discard the result. Its entry stays
    in the journal, and the host retries its deletion.

    :param roles: the type of object of each temporary role
    :returns: a remark for each object that remains

    Raises what ``context.check`` raises.
    """
    remarks = _remove_each(context, roles, [entry for entry in context.journal.entries() if not entry.keep])
    for remark in remarks:
        LOG.warning("%s: not deleted from the cloud: %s", context.resource.key, remark)
    return [f"a temporary object was not deleted when the operation ended: {remark}" for remark in remarks]


def remove_all(context: HookContext, roles: Mapping[str, CloudObjects]) -> None:
    """Delete everything that the journal names, newest first. If an object cannot be deleted, continue with the next.

    :param roles: the type of object of each role

    Raises ResourceFailed that names the objects which could not be deleted.
    """
    failures = _remove_each(context, roles, context.journal.entries())
    if failures:
        raise exception.ResourceFailed(f"not deleted from the cloud: {'; '.join(failures)}")


def _remove_each(context: HookContext, roles: Mapping[str, CloudObjects], entries: Iterable[Entry]) -> list[str]:
    """Delete the objects of *entries*, the last one first. Return a description of each one that remains."""
    failures = []
    for entry in reversed(list(entries)):
        try:
            remove(context, roles[entry.role], entry.role)
        except (exception.LeaseLost, exception.Cancelled):
            raise
        except exception.KarborLikeError as error:
            failures.append(f"{_describe(roles, entry)}: {exception.public_text(error)}")
        except Exception as error:  # noqa: BLE001 - a bug in a client must not keep the other objects
            LOG.exception("%s: deleting %s failed unexpectedly", context.resource.key, entry.name)
            failures.append(f"{_describe(roles, entry)}: unexpected {type(error).__name__}")
    return failures


def _describe(roles: Mapping[str, CloudObjects], entry: Entry) -> str:
    noun = roles[entry.role].noun if entry.role in roles else entry.role
    return f"{noun} {entry.name} ({entry.cloud_id or 'id unknown'})"
