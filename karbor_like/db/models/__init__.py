"""The tables, one mapped class each."""

from karbor_like.db.models.base import Base
from karbor_like.db.models.checkpoints import Checkpoint
from karbor_like.db.models.idempotency import IdempotencyKey
from karbor_like.db.models.jobs import PeriodicJob
from karbor_like.db.models.operations import JournalEntry, Operation, OperationResource
from karbor_like.db.models.plans import Plan
from karbor_like.db.models.quotas import Quota, QuotaClass, QuotaLock
from karbor_like.db.models.restores import Restore, Verification
from karbor_like.db.models.services import Service
from karbor_like.db.models.triggers import ScheduledOperation, ScheduledRun, Trigger, Trust

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
