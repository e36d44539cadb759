"""Deletion of checkpoints that failed long ago and never had data that can be restored."""

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from karbor_like import exception, watchdog
from karbor_like.bank import errors
from karbor_like.context import RequestContext
from karbor_like.db import checkpoints
from karbor_like.db import session as db_session
from karbor_like.domain import states
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.registry.providers import Provider
from karbor_like.protection.requests.checkpoints import Checkpoints
from karbor_like.protection.requests.queue import Queue

LOG = logging.getLogger(__name__)

#: Checkpoints per run.
_BATCH = 100


class Run(NamedTuple):
    """Result of a run: how many deletions it started, and after which checkpoint the next run continues."""

    deleted: int
    last: str


def delete_failed(env: ServiceContext, provider: Provider, days: int, after: str = "") -> Run:
    """Start to delete checkpoints of *provider* that failed more than *days* days ago.

    They are deleted as by their owner, with what they left in the bank. A checkpoint that was complete once is kept: its
    owner may have reset its status, and can reset it again.

    A run handles some checkpoints, in the order of their ids. If the bank does not answer, it ends at once: the job of other
    providers waits, and each further checkpoint would take as long. Checkpoints that are kept, or cannot be handled, do not
    delay those after them.

    :param after: the last checkpoint of the previous run; empty for the first checkpoint
    """
    with env.database.reader() as session:
        before: datetime = db_session.now(session) - timedelta(days=days)
        rows = checkpoints.failed(session, provider.id, before, after, _BATCH)
    # The services poll for queued operations.
    requests = Checkpoints(env, Queue(env, lambda context: None))
    deleted = 0
    for row in rows:
        watchdog.tick()
        try:
            if _was_complete(provider, row.id):
                continue
            context = RequestContext(project_id=row.project_id, overwrite=False)
            # There is no credential of the owner, and the failed operation has removed what it made outside the bank.
            requests.delete(context, provider_id=provider.id, checkpoint_id=row.id, with_hooks=False)
        except exception.KarborLikeError as error:
            LOG.warning("Checkpoint %s, which failed, is not deleted: %s", row.id, error.message)
            if isinstance(error, errors.ConnectionFailed):
                return Run(deleted, row.id)
        else:
            deleted += 1
    return Run(deleted, rows[-1].id if len(rows) == _BATCH else "")


def _was_complete(provider: Provider, checkpoint_id: str) -> bool:
    """Return whether the bank has ever recorded that a checkpoint is complete.

    :raises KarborLikeError: the bank cannot be read
    """
    try:
        record = provider.bank.checkpoints.get(checkpoint_id)
    except exception.NotFound:
        return False
    return any(event.status == states.AVAILABLE for event in record.events)
