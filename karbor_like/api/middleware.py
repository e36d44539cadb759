"""WSGI middleware: request ids, and one shape for the errors of every part of the pipeline."""

import json
import logging
from collections.abc import Callable
from typing import Any

import webob
import webob.dec
from oslo_middleware import request_id

from karbor_like.api import errors

LOG = logging.getLogger(__name__)

Application = Callable[..., Any]

#: User agents of the old client of this API, alone and as a plugin of the OpenStack client. It fails at a ``Retry-After``
#: header with any status but 413.
_LEGACY = ("python-karborclient", "keystoneauth1")


class RequestId(request_id.RequestId):
    """Sends the id of the request in both headers that clients read."""

    compat_headers = ["x-compute-request-id"]


class ErrorFormatter:
    """Gives errors from outside of the controllers the shape of all errors: large bodies, missing tokens, bugs."""

    def __init__(self, application: Application) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, incoming: webob.Request) -> webob.Response:
        try:
            response = incoming.get_response(self._application)
        except Exception as error:  # noqa: BLE001 - the boundary of the service
            response = errors.answer(error)
        if response.status_int >= 400 and not _has_shape(response):
            response = self._reshape(response)
        if response.status_int == 503 and any(name in (incoming.user_agent or "") for name in _LEGACY):
            response.headers.pop("Retry-After", None)
        return response

    def _reshape(self, response: webob.Response) -> webob.Response:
        answer = errors.answer_status(response.status_int)
        if "WWW-Authenticate" in response.headers:
            answer.headers["WWW-Authenticate"] = response.headers["WWW-Authenticate"]
        return answer


def _has_shape(response: webob.Response) -> bool:
    if response.content_type != "application/json":
        return False
    try:
        body = json.loads(response.body)
    except ValueError:
        return False
    return isinstance(body, dict) and len(body) == 1 and all(isinstance(value, dict) for value in body.values())
