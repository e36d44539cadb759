"""The OpenAPI 3.1 document. It is generated from the table of routes and the schemas that validate requests."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from karbor_like.api import errors
from karbor_like.api.controllers import v1
from karbor_like.api.controllers.routing import Route

Json = dict[str, Any]

#: Error statuses of every route, of routes that change something, and of single routes.
_ANY = (400, 401, 403, 404, 413, 500, 503)
_CHANGING = (409, 415)
_SOME = {424: ("Triggers", "delete"), 501: ("Copies", "create"), 502: ("Protectables", None)}

_ERROR: Json = {
    "type": "object",
    "description": "One member, which is named by the status.",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {
        "type": "object",
        "properties": {
            "code": {"type": "integer"},
            "message": {"type": "string", "description": "For the reader. It may change between versions."},
            "type": {
                "type": "string",
                "description": "The condition, for programs. It never changes.",
                "enum": [kind.type for kind, _ in errors.catalogue()],
            },
            "fields": {
                "type": "array",
                "description": "The fields of the request that break a rule.",
                "items": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("path", "rule", "message")},
                },
            },
        },
        "required": ["code", "message", "type"],
    },
}


@functools.cache
def document() -> Json:
    """Return the whole document."""
    paths: Json = {}
    for route in v1.ROUTES:
        paths.setdefault(f"/v1/{{project_id}}{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Data protection",
            "version": "1.0",
            "description": "Application data protection as a service.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": {"Error": _ERROR},
        },
    }


def _operation(route: Route) -> Json:
    action = route.action
    summary = (getattr(route.controller, route.name).__doc__ or "").split("\n\n")[0]
    noun = re.sub(r"(?<!^)(?=[A-Z])", "_", route.controller.__name__).lower()
    operation: Json = {
        "operationId": f"{noun}_{route.name}",
        "tags": [noun],
        "summary": " ".join(summary.split()),
        "description": f"Policy: {', '.join(action.policies)}.",
        "parameters": [*_in_path(route), *_in_query(action.query), *_headers(action.starts_operation)],
        "responses": {"200": _success(action.response), **{str(code): _failure(code) for code in _failures(route)}},
    }
    if action.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(action.body)}
    return operation


def _in_path(route: Route) -> list[Json]:
    names = ["project_id", *re.findall(r"{(\w+)}", route.path)]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: Mapping[str, Any] | None) -> list[Json]:
    properties = query["properties"] if query else {}
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


def _headers(starts_operation: bool) -> list[Json]:
    if not starts_operation:
        return []
    text = "A request that repeats a key and its body starts nothing and returns the same object. Another body: 409."
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x20-\\x7e]+$"}
    return [{"name": "Idempotency-Key", "in": "header", "required": False, "description": text, "schema": schema}]


def _failures(route: Route) -> Sequence[int]:
    changing = _CHANGING if route.method != "GET" else ()
    some = [
        code
        for code, (controller, name) in _SOME.items()
        if route.controller.__name__ == controller and name in (None, route.name)
    ]
    return sorted((*_ANY, *changing, *some))


def _success(schema: Mapping[str, Any] | None) -> Json:
    return {"description": "Done."} if schema is None else {"description": "Done.", "content": _content(schema)}


def _failure(code: int) -> Json:
    description = errors.MEMBER.get(code, "computeFault")
    return {"description": description, "content": _content({"$ref": "#/components/schemas/Error"})}


def _content(schema: Mapping[str, Any]) -> Json:
    return {"application/json": {"schema": schema}}
