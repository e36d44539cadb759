"""The mapping of errors to HTTP answers, and the shape of these answers.

``{"<member>": {"code": <status>, "message": "<text>", "type": "<noun.condition>"}}``. Old clients take the value of the
first member, which must be an object, and read ``message``. They ignore ``type`` and ``fields``, which lists the fields
of the request that break a rule.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import webob
import webob.exc

from karbor_like import exception
from karbor_like.db import session as db_session

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Field:
    """A field that breaks a rule.

    :param path: the field, for example ``plan.resources[0].id``
    :param rule: a keyword of JSON Schema
    """

    path: str
    rule: str
    message: str


class InvalidRequest(exception.InvalidInput):
    """A body or query string that breaks its schema. Names every field that does."""

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__("; ".join(f"{field.path}: {field.message}" for field in fields))
        self.fields = tuple(fields)


class BadRequest(exception.InvalidInput):
    """An error of another class that this API answers with 400, because old clients expect it. Keeps the type of its cause.

    :param message: the text to show instead of the message of the cause
    """

    def __init__(self, cause: exception.KarborLikeError, message: str | None = None) -> None:
        super().__init__(message or exception.public_text(cause))
        self.type = cause.type


@contextmanager
def as_bad_request(*classes: type[exception.KarborLikeError]) -> Iterator[None]:
    """Answer errors of *classes* in the block with 400."""
    try:
        yield
    except classes as error:
        raise BadRequest(error) from None


class WrongMediaType(exception.InvalidInput):
    """The media type of the body is not ``application/json``."""

    type = "request.wrong_media_type"


class RequestTooLarge(exception.InvalidInput):
    """The body is larger than the operator allows."""

    type = "request.too_large"


class Unauthenticated(exception.NotAuthorized):
    """The request has no valid token."""

    type = "request.unauthenticated"


class RouteNotFound(exception.NotFound):
    """The API has no such path, or the path does not support this method."""

    type = "route.not_found"


#: The first match wins: a class precedes its ancestors.
STATUS: Sequence[tuple[type[exception.KarborLikeError], int]] = (
    (WrongMediaType, 415),
    (RequestTooLarge, 413),
    (exception.InvalidInput, 400),
    (Unauthenticated, 401),
    (exception.NotAuthorized, 403),
    (exception.NotFound, 404),
    # Old clients know this condition by its own status.
    (exception.TriggerInUse, 424),
    (exception.Conflict, 409),
    (exception.Cancelled, 409),
    (exception.OverQuota, 413),
    (exception.Unsupported, 501),
    (exception.Unavailable, 503),
    # Another process takes the operation over.
    (exception.LeaseLost, 503),
    (exception.ResourceFailed, 502),
    (exception.Damaged, 502),
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

#: Seconds until a retry makes sense, by status.
RETRY_AFTER: Mapping[int, str] = {413: "0", 503: "5"}

_NO_ROUTE = RouteNotFound("The resource could not be found.")
_UNAVAILABLE = "The service is not available at the moment; try again later."
#: Errors of libraries that only have a status.
_BY_STATUS: Mapping[int, exception.KarborLikeError] = {
    401: Unauthenticated("The request you have made requires authentication."),
    404: _NO_ROUTE,
    405: _NO_ROUTE,
    413: RequestTooLarge("The request body is too large."),
    503: exception.Unavailable(_UNAVAILABLE),
}
_UNFORESEEN = exception.KarborLikeError(
    "An unexpected error prevented the server from fulfilling the request; its log has the reason."
)


def status_of(error: Exception) -> int:
    """Return the HTTP status of *error*; 500 if it is unforeseen."""
    if isinstance(error, webob.exc.HTTPException):
        # A known path with an unsupported method is answered like an unknown path.
        return 404 if error.status_int == 405 else error.status_int
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def catalogue() -> Iterator[tuple[type[exception.KarborLikeError], int]]:
    """Yield every class of error that has a type of its own, with its HTTP status, sorted by type."""
    kinds = [kind for kind in _descendants(exception.KarborLikeError) if "type" in vars(kind)]
    for kind in sorted(kinds, key=lambda kind: kind.type):
        yield kind, next((status for known, status in STATUS if issubclass(kind, known)), 500)


def _descendants(kind: type[exception.KarborLikeError]) -> set[type[exception.KarborLikeError]]:
    return {kind}.union(*(_descendants(child) for child in kind.__subclasses__()))


def body_of(status: int, error: exception.KarborLikeError) -> dict[str, Any]:
    """Return the body of the answer for *error*."""
    content: dict[str, Any] = {"code": status, "message": exception.public_text(error), "type": error.type}
    if isinstance(error, InvalidRequest):
        content["fields"] = [asdict(field) for field in error.fields]
    if status == 401:
        content["title"] = "Unauthorized"
    if status in RETRY_AFTER:
        content["retryAfter"] = RETRY_AFTER[status]
    return {MEMBER.get(status, _FAULT): content}


def render(status: int, error: exception.KarborLikeError) -> webob.Response:
    """Return an answer with *status* that shows *error*."""
    response = webob.Response(status=status, content_type="application/json", charset=None)
    response.body = json.dumps(body_of(status, error)).encode()
    if status in RETRY_AFTER:
        response.headers["Retry-After"] = RETRY_AFTER[status]
    return response


def answer(error: Exception) -> webob.Response:
    """Return the answer for *error*. An unforeseen error is logged with its traceback, and the answer hides its text."""
    unavailable = db_session.unavailable(error)
    if unavailable is not None:
        LOG.warning("the database is not available: %s", error)
        error = unavailable
    status = status_of(error)
    if isinstance(error, exception.KarborLikeError) and status != 500:
        return render(status, error)
    if status == 500:
        LOG.error("unforeseen error", exc_info=error)
    return answer_status(status)


def answer_status(status: int) -> webob.Response:
    """Return the answer for an error of a library that only has a status."""
    reason = _UNFORESEEN if status >= 500 else exception.InvalidInput(webob.util.status_reasons[status])
    return render(status, _BY_STATUS.get(status, reason))
