"""The one place where an error becomes an HTTP answer, and the one shape all of them have.

``{"<member>": {"code": <status>, "message": "<text>"}}``: old clients take the first member's value, which must be an
object, and read ``message``. ``fields`` is an addition: each field of the request that broke a rule.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import webob
import webob.exc
from oslo_db import exception as db_exception

from karbor_like import exception

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Field:
    """A field that broke a rule: ``path`` as in ``plan.resources[0].id``, ``rule`` a keyword of JSON Schema."""

    path: str
    rule: str
    message: str


class InvalidRequest(exception.InvalidInput):
    """A body or query string that breaks its schema. Names every field that does."""

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__("; ".join(f"{field.path}: {field.message}" for field in fields))
        self.fields = tuple(fields)


class WrongMediaType(exception.InvalidInput):
    """A body that does not say it is JSON."""


class TriggerInUse(exception.InUse):
    """A trigger that scheduled operations are bound to. Old clients know this by a status of its own."""


#: First match wins, so that a class stands before its ancestors.
STATUS: Sequence[tuple[type[Exception], int]] = (
    (WrongMediaType, 415),
    (exception.InvalidInput, 400),
    (exception.NotAuthorized, 403),
    (exception.NotFound, 404),
    (TriggerInUse, 424),
    (exception.Conflict, 409),
    (exception.Cancelled, 409),
    (exception.OverQuota, 413),
    (exception.Unsupported, 501),
    (exception.Unavailable, 503),
    # Another process goes on with it.
    (exception.LeaseLost, 503),
    (exception.ResourceFailed, 502),
    (db_exception.DBConnectionError, 503),
)

MEMBER: Mapping[int, str] = {
    400: "badRequest",
    401: "error",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    501: "notImplemented",
    503: "serviceUnavailable",
}
_FAULT = "computeFault"

#: What is said instead of a message that was not written for tenants.
_TEXT: Mapping[int, str] = {
    401: "The request you have made requires authentication.",
    404: "The resource could not be found.",
    405: "The resource could not be found.",
    413: "The request body is too large.",
    503: "The service is not available at the moment; try again later.",
}
_UNFORESEEN = "An unexpected error prevented the server from fulfilling the request; its log knows more."


def status_of(error: Exception) -> int:
    """The HTTP status of *error*; 500 where it is unforeseen."""
    if isinstance(error, webob.exc.HTTPException):
        # A known path with another method is answered like an unknown path.
        return 404 if error.status_int == 405 else error.status_int
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def body_of(status: int, message: str, **more: Any) -> dict[str, Any]:
    """The shape of every error."""
    content: dict[str, Any] = {"code": status, "message": message, **more}
    if status == 401:
        content["title"] = "Unauthorized"
    if status == 413:
        content["retryAfter"] = "0"
    return {MEMBER.get(status, _FAULT): content}


def render(status: int, message: str, **more: Any) -> webob.Response:
    """An error answer."""
    response = webob.Response(status=status, content_type="application/json", charset=None)
    response.body = json.dumps(body_of(status, message, **more)).encode()
    if status == 413:
        # With any other status this header makes old clients fail.
        response.headers["Retry-After"] = "0"
    return response


def answer(error: Exception) -> webob.Response:
    """The answer for *error*. What nobody foresaw is logged with its trace, and says nothing of the inside."""
    status = status_of(error)
    if isinstance(error, exception.KarborLikeError) and status != 500:
        fields = [asdict(field) for field in error.fields] if isinstance(error, InvalidRequest) else None
        return render(status, error.message, **({"fields": fields} if fields else {}))
    if status == 500:
        LOG.error("unforeseen error", exc_info=error)
    elif status == 503:
        LOG.warning("not available: %s", error)
    return plain(status)


def plain(status: int) -> webob.Response:
    """The answer for a status alone, in the words of this module."""
    return render(status, _TEXT.get(status, _UNFORESEEN if status >= 500 else webob.util.status_reasons[status]))
