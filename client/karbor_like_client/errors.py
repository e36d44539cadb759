"""Errors of the API.

They are openstacksdk's exceptions, and have the stable ``type`` that the API gives them, such as ``plan.in_use``. The
documentation of the API lists all types.
"""

from typing import Any

import requests
from openstack import exceptions


class ApiError(exceptions.HttpException):
    """The API answered with an error.

    :ivar type: the stable type, such as ``plan.in_use``; None if the API does not state it
    :ivar fields: the fields of the request that break a rule: objects with ``path``, ``rule`` and ``message``
    """

    type: str | None = None
    fields: list[dict[str, Any]] = []

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.details or self.message}{request}"


class BadRequest(ApiError, exceptions.BadRequestException):
    """The request breaks a rule."""


class Forbidden(ApiError, exceptions.ForbiddenException):
    """The policy of the cloud does not allow the request."""


class NotFound(ApiError, exceptions.NotFoundException):
    """The object or the path does not exist."""


class Conflict(ApiError, exceptions.ConflictException):
    """The state of the object does not allow the request."""


class OperationFailed(exceptions.ResourceFailure):
    """An operation that a caller waits for has failed.

    :ivar resource: the object in its final state
    """

    def __init__(self, resource: Any) -> None:
        noun = type(resource).__name__.lower()
        super().__init__(f"{noun} {resource.id}: {resource.status}: {resource.reason or 'no reason is known'}")
        self.resource = resource


_BY_STATUS: dict[int, type[ApiError]] = {400: BadRequest, 403: Forbidden, 404: NotFound, 409: Conflict}


def raise_for(response: requests.Response) -> None:
    """Raise the error that *response* shows.

    :raises ApiError: the status is 400 or higher
    """
    if response.status_code < 400:
        return
    content = _content(response)
    error = _BY_STATUS.get(response.status_code, ApiError)(
        message=f"{response.status_code} {response.reason}",
        response=response,
        details=str(content.get("message") or response.reason or ""),
    )
    error.type = content.get("type")
    error.fields = content.get("fields") or []
    raise error


def _content(response: requests.Response) -> dict[str, Any]:
    """Return what the body says: the value of its first member. A proxy may answer with a page instead."""
    try:
        found: Any = next(iter(response.json().values()), {})
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}
