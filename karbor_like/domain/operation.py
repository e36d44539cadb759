"""The types of operations that the protection service runs."""

from enum import StrEnum


class OperationType(StrEnum):
    """What an operation does with a checkpoint."""

    PROTECT = "protect"
    RESTORE = "restore"
    DELETE = "delete"
    VERIFY = "verify"
    COPY = "copy"
