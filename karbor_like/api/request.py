"""Parsing of requests: the caller, the path and the query string. Malformed requests are refused here."""

from collections.abc import Mapping
from typing import Any, Final

import webob
from oslo_policy import policy as oslo_policy

from karbor_like import exception, policy
from karbor_like.api import callers, errors
from karbor_like.context import RequestContext

#: Characters of a segment of a path. Ids and names of types are shorter.
_MAX_SEGMENT: Final = 255
#: Characters and parameters of a query string.
_MAX_QUERY: Final = 16_384
_MAX_PARAMETERS: Final = 100


def read_identity(request: webob.Request, enforcer: oslo_policy.Enforcer) -> RequestContext:
    """Return the caller, whom keystonemiddleware found out."""
    context = callers.context_of(request.environ)
    context.is_admin = policy.is_admin(enforcer, context)
    return context


def has_body(environ: Mapping[str, Any]) -> bool:
    """Return whether a request may have a body. Most have none, and need not pass through what is only for bodies."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return True
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ


def read_path(request: webob.Request) -> tuple[str, list[str]]:
    """Return the project and the segments after it of ``/v1/{project_id}/...``.

    Raises MalformedRequest if a segment is too long.
    """
    parts = request.path_info.strip("/").split("/")
    if any(len(part) > _MAX_SEGMENT for part in parts):
        raise exception.MalformedRequest(f"a segment of the path is longer than {_MAX_SEGMENT} characters")
    return parts[1] if len(parts) > 1 else "", parts[2:]


def read_query(request: webob.Request) -> dict[str, list[str]]:
    """Return the values of each name in the query string.

    Raises MalformedRequest if it is too long or not UTF-8, InvalidRequest if it contains a NUL.
    """
    if len(request.query_string) > _MAX_QUERY or request.query_string.count("&") >= _MAX_PARAMETERS:
        raise exception.MalformedRequest(
            f"the query string has more than {_MAX_QUERY} characters or {_MAX_PARAMETERS} parameters"
        )
    try:
        items = list(request.GET.items())
    except UnicodeDecodeError:
        raise exception.MalformedRequest("the query string is not UTF-8") from None
    values: dict[str, list[str]] = {}
    for name, value in items:
        if "\0" in name or "\0" in value:
            raise errors.InvalidRequest([errors.Field(name.replace("\0", "?"), "pattern", "contains a NUL character")])
        values.setdefault(name, []).append(value)
    return values
