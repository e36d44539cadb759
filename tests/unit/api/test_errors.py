import json

import pytest
import webob.exc
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.api import errors
from karbor_like.db.session import DatabaseBusy


def shown(error: Exception) -> tuple[int, str, dict]:
    response = errors.answer(error)
    ((member, content),) = json.loads(response.body).items()
    assert content["code"] == response.status_int
    assert response.content_type == "application/json"
    assert (
        response.headers.get("Retry-After")
        == content.get("retryAfter")
        == {413: "0", 503: "5"}.get(response.status_int)
    )
    return response.status_int, member, content


def test_every_error_of_the_tree_has_an_answer():
    def tree(kind: type) -> list[type]:
        return [kind, *(descendant for child in kind.__subclasses__() for descendant in tree(child))]

    unforeseen = {exception.KarborLikeError, exception.ConfigurationError}
    for kind in tree(exception.KarborLikeError):
        if kind.__module__ == exception.__name__:
            status, _, content = shown(kind("why"))
            assert (status == 500) == (kind in unforeseen), kind
            assert (content["message"] == (kind.public or "why")) == (status != 500)
            assert content["type"] == ("server.error" if status == 500 else kind.type)


@pytest.mark.parametrize(
    ("error", "status", "member", "code"),
    [
        (exception.InvalidInput("x"), 400, "badRequest", "request.invalid"),
        (errors.WrongMediaType("x"), 415, "badMediaType", "request.wrong_media_type"),
        (exception.PolicyNotAuthorized("x"), 403, "forbidden", "policy.not_authorized"),
        (exception.PlanNotFound("x"), 404, "itemNotFound", "plan.not_found"),
        (exception.CheckpointInUse("x"), 409, "conflictingRequest", "checkpoint.in_use"),
        (exception.TriggerInUse("x"), 424, "computeFault", "trigger.in_use"),
        (exception.OverQuota("x"), 413, "overLimit", "quota.exceeded"),
        (exception.Unsupported("x"), 501, "notImplemented", "operation.unsupported"),
        (exception.Timeout("x"), 503, "serviceUnavailable", "operation.timed_out"),
        (db_exception.DBConnectionError("secret"), 503, "serviceUnavailable", "database.unavailable"),
        (db_exception.DBDeadlock("secret"), 503, "serviceUnavailable", "database.unavailable"),
        (DatabaseBusy("secret"), 503, "serviceUnavailable", "database.unavailable"),
        (webob.exc.HTTPMethodNotAllowed(), 404, "itemNotFound", "route.not_found"),
        (webob.exc.HTTPRequestEntityTooLarge(), 413, "overLimit", "request.too_large"),
        (webob.exc.HTTPUnauthorized(), 401, "error", "request.unauthenticated"),
        (webob.exc.HTTPServiceUnavailable(), 503, "serviceUnavailable", "service.unavailable"),
        (webob.exc.HTTPNotAcceptable(), 406, "computeFault", "request.invalid"),
        (ValueError("secret"), 500, "computeFault", "server.error"),
        (db_exception.DBError("secret"), 500, "computeFault", "server.error"),
    ],
)
def test_statuses_members_and_types(error, status, member, code):
    *answered, content = shown(error)
    assert (*answered, content["type"]) == (status, member, code)
    assert "secret" not in content["message"]


def test_fields_are_listed():
    error = errors.InvalidRequest([errors.Field("plan.name", "minLength", "is empty")])
    _, _, content = shown(error)
    assert content["message"] == "plan.name: is empty"
    assert content["fields"] == [{"path": "plan.name", "rule": "minLength", "message": "is empty"}]
    assert content["type"] == "request.invalid"


def test_a_bad_request_keeps_the_type_of_its_cause():
    cause = exception.ResourceNotFound("volume v1 does not exist")
    status, _, content = shown(errors.BadRequest(cause, f"create failed: {cause}"))
    assert (status, content["type"]) == (400, "resource.not_found")
    assert content["message"] == "create failed: volume v1 does not exist"
    assert shown(errors.BadRequest(cause))[2]["message"] == cause.message
