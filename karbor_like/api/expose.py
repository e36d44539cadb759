"""The decorator ``@expose``, which declares on a controller's method what it requires of a request.

It checks the policy, the query string and the body, in this order, before the method runs: the service parses only what a
caller who may make the request sent. It stores the declaration as :class:`Action`, from which the OpenAPI document is
generated, so that validation and documentation agree.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import webob

from karbor_like import exception, policy
from karbor_like.api import body as body_parser
from karbor_like.api import errors, request, validation
from karbor_like.context import RequestContext
from karbor_like.domain import coercion

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Action:
    """The declaration of a method.

    :param policies: policy rules; all of them must allow the call
    :param body: schema of the body, which is passed as the argument ``body``
    :param query: schema (an object of scalar properties) of the query string, passed as ``query``
    :param response: schema of the answer; None: no content
    :param owner: the variable of the path that names the project of the objects; None: the caller's project
    :param starts_operation: whether the caller may send an ``Idempotency-Key``
    """

    policies: Sequence[str]
    body: Schema | None
    query: Schema | None
    response: Schema | None
    owner: str | None
    starts_operation: bool


@dataclass(frozen=True)
class Call:
    """A request: the caller, the variables of the path, and the body as it was sent."""

    request: webob.Request
    context: RequestContext
    variables: Mapping[str, str]
    raw: bytes

    @functools.cached_property
    def body(self) -> Any:
        """The JSON value of the body. Raises what :func:`karbor_like.api.body.parse` does."""
        return body_parser.parse(self.raw, self.request.content_type)


def expose(
    *,
    policy: str | Sequence[str],
    body: Schema | None = None,
    query: Schema | None = None,
    response: Schema | None = None,
    owner: str | None = None,
    starts_operation: bool = False,
) -> Callable[[Callable[..., Any]], Callable[[Any], Any]]:
    """Make a method of a controller available to the router. The parameters are those of :class:`Action`."""
    action = Action((policy,) if isinstance(policy, str) else policy, body, query, response, owner, starts_operation)
    body_checker = validation.validator(body) if body is not None else None
    query_checker = validation.validator(query) if query is not None else None

    def decorate(method: Callable[..., Any]) -> Callable[[Any], Any]:
        @functools.wraps(method)
        def handle(self: Any) -> Any:
            call: Call = self.call
            _authorize(self, action, call)
            arguments: dict[str, Any] = dict(call.variables)
            query = request.read_query(call.request)
            if query_checker is not None:
                arguments["query"] = _parse_query(query_checker, query)
            if body_checker is not None:
                validation.check(body_checker, call.body)
                arguments["body"] = call.body
            return method(self, **arguments)

        handle.action = action  # type: ignore[attr-defined]
        return handle

    return decorate


def _parse_query(checker: Any, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the known members of the query string, typed. Unknown ones are dropped, as clients of this API expect."""
    properties = checker.schema["properties"]
    repeated = [name for name, values in given.items() if name in properties and len(values) > 1]
    if repeated:
        raise errors.InvalidRequest([errors.Field(name, "maxItems", "is given more than once") for name in repeated])
    typed = {name: coercion.coerce(given[name][0], properties[name]) for name in properties if name in given}
    validation.check(checker, typed)
    return typed


def _authorize(controller: Any, action: Action, call: Call) -> None:
    enforcer = controller.deps.enforcer
    owner = call.variables[action.owner] if action.owner else call.context.project_id
    for rule in action.policies:
        policy.authorize(enforcer, call.context, rule, {"project_id": owner})


def action_of(method: Callable[..., Any]) -> Action:
    """Return the declaration of a method. Raises ConfigurationError if the method is not exposed."""
    if not hasattr(method, "action"):
        raise exception.ConfigurationError(f"{method.__qualname__} is in the table of routes but not exposed")
    action: Action = method.action
    return action
