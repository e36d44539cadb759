import json

import pytest
import webob.exc
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.api import errors


def shown(error: Exception) -> tuple[int, str, dict]:
    response = errors.answer(error)
    ((member, content),) = json.loads(response.body).items()
    assert content["code"] == response.status_int
    assert response.content_type == "application/json"
    assert ("Retry-After" in response.headers) == (response.status_int == 413)
    return response.status_int, member, content


def test_every_error_of_the_tree_has_an_answer():
    def tree(kind: type) -> list[type]:
        return [kind, *(one for child in kind.__subclasses__() for one in tree(child))]

    unforeseen = {exception.KarborLikeError, exception.ConfigurationError}
    for kind in tree(exception.KarborLikeError):
        if kind.__module__ == exception.__name__:
            status, _, content = shown(kind("why"))
            assert (status == 500) == (kind in unforeseen), kind
            assert (content["message"] == "why") == (status != 500)


@pytest.mark.parametrize(
    ("error", "status", "member"),
    [
        (exception.InvalidInput("x"), 400, "badRequest"),
        (errors.WrongMediaType("x"), 415, "badMediaType"),
        (exception.NotAuthorized("x"), 403, "forbidden"),
        (exception.PlanNotFound("x"), 404, "itemNotFound"),
        (exception.InUse("x"), 409, "conflictingRequest"),
        (errors.TriggerInUse("x"), 424, "computeFault"),
        (exception.OverQuota("x"), 413, "overLimit"),
        (exception.Unsupported("x"), 501, "notImplemented"),
        (exception.Timeout("x"), 503, "serviceUnavailable"),
        (db_exception.DBConnectionError(), 503, "serviceUnavailable"),
        (webob.exc.HTTPMethodNotAllowed(), 404, "itemNotFound"),
        (webob.exc.HTTPRequestEntityTooLarge(), 413, "overLimit"),
        (ValueError("secret"), 500, "computeFault"),
        (db_exception.DBError("secret"), 500, "computeFault"),
    ],
)
def test_statuses_and_members(error, status, member):
    found = shown(error)
    assert found[:2] == (status, member)
    assert "secret" not in found[2]["message"]


def test_fields_are_listed():
    error = errors.InvalidRequest([errors.Field("plan.name", "minLength", "is empty")])
    _, _, content = shown(error)
    assert content["message"] == "plan.name: is empty"
    assert content["fields"] == [{"path": "plan.name", "rule": "minLength", "message": "is empty"}]
