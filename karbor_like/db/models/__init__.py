"""All tables."""

from karbor_like.db.models.base import Base
from karbor_like.db.models.checkpoint import Checkpoint
from karbor_like.db.models.idempotency import IdempotencyKey
from karbor_like.db.models.job import PeriodicJob
from karbor_like.db.models.operation import JournalEntry, Operation, OperationResource
from karbor_like.db.models.plan import Plan
from karbor_like.db.models.quota import Quota, QuotaClass, QuotaLock
from karbor_like.db.models.restore import Restore, Verification
from karbor_like.db.models.service import Service
from karbor_like.db.models.trigger import ScheduledOperation, ScheduledRun, Trigger, Trust

__all__ = [
    "Base",
    "Checkpoint",
    "IdempotencyKey",
    "JournalEntry",
    "Operation",
    "OperationResource",
    "PeriodicJob",
    "Plan",
    "Quota",
    "QuotaClass",
    "QuotaLock",
    "Restore",
    "ScheduledOperation",
    "ScheduledRun",
    "Service",
    "Trigger",
    "Trust",
    "Verification",
]
