"""Errors of the services of the sandbox."""

from karbor_like import exception


class ApiError(exception.KarborLikeError):
    """An error response, which each service formats like its OpenStack counterpart.

    :param status: HTTP status code
    :param message: text for the user
    :param headers: additional headers of the response
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class ShortBody(exception.KarborLikeError):
    """The client disconnected, or was disconnected by a fault, before it had sent the whole body."""


class JobFailed(exception.KarborLikeError):
    """A background job failed; the message is the reason that the resource shows."""


class Stopping(exception.KarborLikeError):
    """The sandbox is being stopped. Running calls and jobs end; the next start resolves their transitional states."""


class StateInUse(exception.Conflict):
    """Another sandbox uses the same state directory."""


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, message)


def not_found(message: str) -> ApiError:
    return ApiError(404, message)


def conflict(message: str) -> ApiError:
    return ApiError(409, message)
