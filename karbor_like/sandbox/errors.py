"""What a service of the sandbox answers when it does not do what it was asked to."""

from karbor_like import exception


class ApiError(exception.KarborLikeError):
    """A refusal that a service's own renderer turns into the shape its OpenStack counterpart uses.

    :param status: HTTP status code
    :param message: the sentence that the client shows
    :param headers: more headers of the answer
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class ShortBody(exception.KarborLikeError):
    """The client went away, or was cut off, before it had sent the body that it announced."""


class JobFailed(exception.KarborLikeError):
    """Background work ended badly; the message is the reason the resource shows."""


class Stopping(exception.KarborLikeError):
    """The sandbox is being stopped; whatever runs ends here and is settled at the next start."""


class StateInUse(exception.Conflict):
    """Another sandbox runs on the same state directory."""


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, message)


def not_found(message: str) -> ApiError:
    return ApiError(404, message)


def conflict(message: str) -> ApiError:
    return ApiError(409, message)
