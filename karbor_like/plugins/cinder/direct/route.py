"""The route of the bytes of one volume: directly from the storage, or through Glance. It is decided once and recorded.

Another process, on another host, may continue the operation. It follows the record, because the two routes create different
objects. The record of a protect is the member :data:`ROUTE` of the document; that of a restore is the journal: the volume of
each route has a role of its own.
"""

from collections.abc import Mapping
from typing import Any, Final

#: Member of the document of a volume: ``kind``; the keeper of the mark, if there is one (``keeps``); and the ``reason`` of
#: the route through Glance, or why there is no mark although one was to be kept.
ROUTE: Final = "route"
GLANCE: Final = "glance"


def direct(kind: str, *, keeps: str | None, reason: str | None = None) -> dict[str, Any]:
    """Return the record of the direct route.

    :param kind: of the backend
    :param keeps: the keeper of the mark, see :mod:`karbor_like.plugins.cinder.kept`; None: the snapshot is temporary
    :param reason: why there is no mark although one was to be kept
    """
    return {"kind": kind, "keeps": keeps, **({"reason": reason} if reason else {})}


def through_glance(reason: str) -> dict[str, Any]:
    """Return the record of the route through Glance, and why it is not the direct one."""
    return {"kind": GLANCE, "reason": reason}


def is_glance(document: Mapping[str, Any]) -> bool:
    """Return whether the document of a protect records the route through Glance."""
    return (document.get(ROUTE) or {}).get("kind") == GLANCE


def remarks(document: Mapping[str, Any]) -> list[str]:
    """Return a remark if the bytes did not take the direct route, or if the next protect cannot build on this one."""
    reason = (document.get(ROUTE) or {}).get("reason")
    if not reason:
        return []
    if is_glance(document):
        return [f"the volume was copied through an image: {reason}"]
    return [f"no mark was kept, so the next checkpoint will read everything that is allocated: {reason}"]
