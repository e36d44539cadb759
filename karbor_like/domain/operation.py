"""The types of operations that the protection service runs."""

from enum import StrEnum
from typing import Final


class OperationType(StrEnum):
    """What an operation does with a checkpoint."""

    PROTECT = "protect"
    RESTORE = "restore"
    DELETE = "delete"
    VERIFY = "verify"
    COPY = "copy"


#: The types that create a checkpoint. The others use an existing one.
CREATING: Final = (OperationType.PROTECT, OperationType.COPY)
