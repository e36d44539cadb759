"""Parsing of requests: the caller, the query string and the body. Malformed requests are refused here."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import webob
from oslo_policy import policy as oslo_policy

from karbor_like import exception, policy
from karbor_like.api import errors, validation
from karbor_like.context import RequestContext

_WITH_BODY = ("POST", "PUT")
_MAX_DEPTH = 64
_MAX_INTEGER = 2**63 - 1


def read_identity(request: webob.Request, enforcer: oslo_policy.Enforcer) -> RequestContext:
    """Return the caller, whom keystonemiddleware stored in the environment of the request."""
    token = request.environ.get("keystone.token_info", {}).get("token", {})
    trust = token.get("OS-TRUST:trust", {})
    try:
        catalog = json.loads(request.environ.get("HTTP_X_SERVICE_CATALOG") or "[]")
    except ValueError:
        catalog = []
    context = RequestContext.from_environ(
        request.environ,
        request_id=request.environ.get("openstack.request_id"),
        service_catalog=catalog,
        trust_id=trust.get("id"),
        trustee_id=trust.get("trustee_user", {}).get("id"),
    )
    context.is_admin = policy.is_admin(enforcer, context)
    return context


def read_query(request: webob.Request) -> dict[str, list[str]]:
    """Return the values of each name in the query string.

    Raises MalformedRequest if it is not UTF-8, InvalidRequest if it contains a NUL.
    """
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


def read_body(request: webob.Request) -> Any:
    """Return the JSON value of the body of a POST or PUT. Bodies of other methods are ignored: None.

    Raises WrongMediaType, MalformedRequest or InvalidRequest.
    """
    if request.method not in _WITH_BODY:
        return None
    raw = request.body
    if request.content_type != "application/json":
        raise errors.WrongMediaType(
            f"Content-Type is {request.content_type!r}; send the body as 'application/json'"
            if raw
            else "the request has no body; send JSON with Content-Type 'application/json'"
        )
    if not raw.strip():
        raise exception.MalformedRequest("the request has no body; send a JSON object")
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise exception.MalformedRequest("the body is not UTF-8") from None
    except RecursionError:
        raise exception.MalformedRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise exception.MalformedRequest(f"the body is not JSON: {error}") from None
    _check_values(value, ())
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _check_values(value: Any, path: tuple[str | int, ...]) -> None:
    """Refuse values that a database cannot store, at any depth."""
    problem = None
    if len(path) > _MAX_DEPTH:
        raise exception.MalformedRequest(f"the body is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, str):
        problem = _text_problem(value)
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        problem = "is out of the range of 64-bit integers"
    elif isinstance(value, float) and not math.isfinite(value):
        problem = "is out of the range of double-precision numbers"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            problem = problem or _text_problem(name)
            _check_values(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, (*path, index))
    if problem:
        name = validation.path_text(path).encode("utf-8", "replace").decode().replace("\0", "?")
        raise errors.InvalidRequest([errors.Field(name, "type", problem)])


def _text_problem(text: str) -> str | None:
    if "\0" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair"
    return None
