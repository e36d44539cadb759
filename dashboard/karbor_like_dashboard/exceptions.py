"""Errors of the dashboard. This module is imported by the settings of Horizon, and must not import Horizon or Django."""

from collections.abc import Sequence
from typing import Any


class Failure(Exception):
    """The API refused a request, or did not answer.

    :ivar type: the stable type of the API, such as ``plan.in_use``; None if no API answered
    :ivar status: the HTTP status; None if there was no answer
    :ivar fields: the fields of the request that break a rule
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        status: int | None = None,
        fields: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.type = type
        self.status = status
        self.fields = fields


#: Horizon shows these as messages.
RECOVERABLE = (Failure,)
