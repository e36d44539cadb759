"""Requests of Heat to the other services of the sandbox, in this process, with a token of the owner of the stack."""

import json
from collections.abc import Callable
from typing import Any

import webob

from karbor_like.sandbox import errors, web

COMPUTE_VERSION = "compute 2.60"


class Refused(errors.ApiError):
    """Another service refused a request, or its answer was lost (status 0)."""


class Cloud:
    """The services, for one owner.

    :param application: the sandbox's WSGI application
    """

    def __init__(self, application: Callable[..., Any], token: str) -> None:
        self._application = application
        self._token = token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the body of the answer.

        :raises Refused: the status is 400 or higher, or there was no answer
        """
        request = webob.Request.blank(path, method=method)
        request.headers.update({"X-Auth-Token": self._token, "OpenStack-API-Version": COMPUTE_VERSION})
        if body is not None:
            request.body = json.dumps(body).encode()
            request.content_type = "application/json"
        request.environ["REQUEST_URI"] = path
        request.environ[web.HANGUP] = lambda: None
        try:
            response = request.send(self._application)
        except OSError as error:
            raise Refused(0, f"Remote end closed connection without response: {error}") from None
        if response.status_int >= 400:
            raise Refused(response.status_int, _message(response))
        return response.json if response.body else {}


def _message(response: webob.Response) -> str:
    """Return the text in the error of any service."""
    try:
        (error,) = [value for value in response.json.values() if isinstance(value, dict)]
        return f"{error['message']} (HTTP {response.status_int})"
    except (ValueError, KeyError, AttributeError):
        return f"{response.text} (HTTP {response.status_int})"
