"""Objects behind which an operation runs: their progress, and waiting for their end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from openstack import exceptions, proxy, resource

from karbor_like_client import errors
from karbor_like_client.v1 import base

#: Seconds between two requests of the state.
INTERVAL = 2.0


@dataclass(frozen=True)
class Progress:
    """How far an operation is.

    :param status: of the object
    :param bytes_done: bytes that are transferred
    :param bytes_total: bytes to transfer, or None while that is unknown
    :param resources: by resource, as ``Type#id``: ``status``, ``step``, ``reason``, ``bytes_done``, ``bytes_total``
        and, for restores, ``result``: what was made of it, as ``Type#id``
    :param queue: while the operation waits: its ``position`` (1 for the next one) in the queue, and the ``length`` of that
    """

    status: str
    bytes_done: int
    bytes_total: int | None
    resources: dict[str, dict[str, Any]]
    queue: dict[str, int] | None = None


#: Is called with the progress each time that it was requested.
Callback = Callable[[Progress], None]


class Work(base.Created):
    """Base of checkpoints, restores and verifications."""

    #: Statuses from which an object changes without a request.
    unfinished: ClassVar[frozenset[str]] = frozenset({"in_progress"})
    #: Statuses of success.
    successful: ClassVar[frozenset[str]] = frozenset({"success"})

    project_id = resource.Body("project_id")
    status = resource.Body("status")
    #: Why the operation failed.
    reason = resource.Body("reason")
    #: ``bytes_done``, ``bytes_total``, ``resources`` and, while the operation waits, ``queue``. See :meth:`progress_now`.
    progress = resource.Body("progress", type=dict)
    #: Bytes that the resources contain.
    logical_bytes = resource.Body("logical_bytes", type=int)
    #: Bytes that were not in the bank before.
    new_bytes = resource.Body("new_bytes", type=int)
    #: Bytes that were added to the bank: compressed and encrypted.
    stored_bytes = resource.Body("stored_bytes", type=int)

    def progress_now(self) -> Progress:
        """Return the progress that the API stated last."""
        known = self.progress or {}
        return Progress(
            self.status,
            known.get("bytes_done") or 0,
            known.get("bytes_total"),
            known.get("resources") or {},
            known.get("queue"),
        )


W = TypeVar("W", bound=Work)


class Waiting(proxy.Proxy):
    """Waits for operations."""

    def _wait(
        self,
        work: W,
        progress: Callback | None,
        interval: float,
        wait: float | None,
        *,
        successful: frozenset[str] | None = None,
    ) -> W:
        """Wait until an operation has ended.

        :param progress: is called with each progress
        :param interval: seconds between two requests
        :param wait: seconds after which to stop waiting; None for no limit
        :raises OperationFailed: it failed
        :raises openstack.exceptions.ResourceTimeout: it has not ended in time
        """
        end = None if wait is None else time.monotonic() + wait
        while True:
            if progress:
                progress(work.progress_now())
            if work.status not in work.unfinished:
                break
            if end is not None and time.monotonic() >= end:
                raise exceptions.ResourceTimeout(
                    f"{type(work).__name__.lower()} {work.id} is still {work.status!r} after {wait:g} seconds; "
                    "the operation continues"
                )
            time.sleep(interval)
            work = work.fetch(self, skip_cache=True)
        if work.status not in (work.successful if successful is None else successful):
            raise errors.OperationFailed(work)
        return work
