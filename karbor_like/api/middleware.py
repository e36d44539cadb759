"""The parts of the pipeline that are ours: one shape for every error, whichever part of it makes it, and request ids."""

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


class RequestId(request_id.RequestId):
    """The request's id under both names that clients look for."""

    compat_headers = ["x-compute-request-id"]


class ErrorFormatter:
    """Answers for what fails between the server and the controllers: bodies that are too large, missing tokens, bugs."""

    def __init__(self, application: Application) -> None:
        self._application = application

    @webob.dec.wsgify
    def __call__(self, incoming: webob.Request) -> webob.Response:
        try:
            response = incoming.get_response(self._application)
        except Exception as error:  # noqa: BLE001 - the border of the service
            return errors.answer(error)
        return response if response.status_int < 400 or _has_shape(response) else self._reshaped(response)

    def _reshaped(self, response: webob.Response) -> webob.Response:
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
